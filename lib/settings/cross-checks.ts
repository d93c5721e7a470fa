import * as v from 'valibot';
import { fault, foundText, type Fault } from './faults';
import type { HostZone } from '../zonemta/host';
import { poolProblem, zonesByName, type HostZones } from './host';
import { nearest } from './nearest';
import { PLUGINS, type PluginName, type PluginTable } from './plugins';
import { isTable } from './tables';
import { zoneName } from './values';

type Tables = ReadonlyMap<PluginName, PluginTable>;
type Zones = ReadonlyMap<string, HostZone>;

/**
 * What is wrong between options, plugins and ZoneMTA's zones. Works on the options as they were written, so that one wrong
 * option does not hide these faults; what the schemas refuse by themselves is skipped here.
 */
export function crossFaults(tables: Tables, host: HostZones): Fault[] {
    const zones = zonesByName(host);
    return [
        ...setFaults(tables),
        ...sharedFaults(tables, zones, host.pools),
        ...actionFaults(tables.get('rspamd'), zones),
        ...weightFaults(tables.get('rspamd')),
        ...relayFaults(tables, zones)
    ];
}

/** The legal sets: rspamd, or random-ip with or without reputation, or those two with relay; rspamd with any of them. */
function setFaults(tables: Tables): Fault[] {
    const faults: Fault[] = [];
    const needs = (name: PluginName, needed: PluginName): void => {
        const table = tables.get(name);
        if (table && !tables.has(needed)) {
            const allowed = `"${PLUGINS[needed].key}" to be enabled too`;
            faults.push(fault(table.key, [], 'enabled', allowed));
        }
    };
    needs('reputation', 'randomIp');
    needs('relay', 'reputation');
    if (!tables.has('shared')) {
        const text = 'the other plugins of the package need it: enable it';
        faults.push(fault(PLUGINS.shared.key, [], 'not enabled', 'enabled', text));
    } else if (tables.size === 1) {
        const allowed = `"${PLUGINS.rspamd.key}" or "${PLUGINS.randomIp.key}" to be enabled too`;
        faults.push(fault(PLUGINS.shared.key, [], 'enabled', allowed));
    }
    return faults;
}

function sharedFaults(tables: Tables, zones: Zones, pools: HostZones['pools']): Fault[] {
    const table = tables.get('shared');
    if (!table) {
        return [];
    }
    const { key, options } = table;
    const faults: Fault[] = [];
    const listed = zoneNames(options['zones']);
    for (const [index, name] of listed) {
        const path = ['zones', index];
        const zone = zones.get(name);
        const problem = zone && tables.has('randomIp') ? poolProblem(name, zone, pools) : undefined;
        if (!zone) {
            faults.push(unknownZone(key, path, name, zones));
        } else if (problem !== undefined) {
            faults.push(fault(key, path, foundText(name), problem, problem));
        }
    }
    faults.push(...doubles(key, listed));
    const sends = tables.has('randomIp') || tables.has('reputation') || tables.has('relay');
    if (sends && isEmptyList(options['zones'])) {
        const text = 'the sending plugins work for the zones listed here only: list at least one';
        faults.push(fault(key, ['zones'], '[]', 'at least one sending zone', text));
    }
    const { senderHeader } = options;
    if (typeof senderHeader === 'string' && senderHeader !== '' && isEmptyList(options['trustedNetworks'])) {
        const mend = 'at least one network: from elsewhere anyone could write the header named in senderHeader';
        faults.push(fault(key, ['trustedNetworks'], '[]', mend));
    }
    return faults;
}

function actionFaults(table: PluginTable | undefined, zones: Zones): Fault[] {
    if (!table) {
        return [];
    }
    const { actions, overrides } = table.options;
    const own = (Array.isArray(overrides) ? overrides : []).map((each: unknown, index) => ({ path: ['overrides', index, 'actions'], actions: isTable(each) ? each['actions'] : undefined }));
    return [{ path: ['actions'], actions }, ...own].flatMap(each => zoneFaults(table.key, each.path, each.actions, zones));
}

function zoneFaults(key: string, path: (string | number)[], actions: unknown, zones: Zones): Fault[] {
    return Object.entries(isTable(actions) ? actions : {}).flatMap(([action, value]) => {
        const [, name] = typeof value === 'string' ? (/^zone:([^\sA-Z]+)$/.exec(value) ?? []) : [];
        return name === undefined || zones.has(name) ? [] : [unknownZone(key, [...path, action], value, zones, name)];
    });
}

/** A weight without a server is a server that was forgotten, or misspelt. */
function weightFaults(table: PluginTable | undefined): Fault[] {
    const { weights, servers } = table?.options ?? {};
    if (!table || !isTable(weights) || !Array.isArray(servers)) {
        return [];
    }
    const origin = (url: unknown) => (typeof url === 'string' && URL.canParse(url) ? new URL(url).origin : undefined);
    const known = servers.map(origin);
    return Object.entries(weights)
        .filter(([url]) => origin(url) !== undefined && !known.includes(origin(url)))
        .map(([url, weight]) => fault(table.key, ['weights', url], foundText(weight), 'a URL that is in servers', 'this URL is not in servers'));
}

function relayFaults(tables: Tables, zones: Zones): Fault[] {
    const table = tables.get('relay');
    if (!table) {
        return [];
    }
    const { key, options } = table;
    const faults: Fault[] = [];
    const listed = zoneNames(options['zones']);
    const own = new Set(zoneNames(tables.get('shared')?.options['zones']).map(([, name]) => name));
    for (const [index, name] of listed) {
        const path = ['zones', index];
        const zone = zones.get(name);
        const wrong = (allowed: string, text: string): void => {
            faults.push(fault(key, path, foundText(name), allowed, text));
        };
        if (!zone) {
            faults.push(unknownZone(key, path, name, zones));
            continue;
        }
        if (!zone.host) {
            wrong('a zone with a host', `zone ${name} has no host: give it the name of the provider's server`);
        }
        if (zone.disabled) {
            wrong('a zone that is not disabled', `zone ${name} is disabled: mail handed over to it would wait for ever`);
        }
        if (own.has(name)) {
            wrong(
                `a zone that is not in zones of "${PLUGINS.shared.key}"`,
                `zone ${name} is also listed in zones of "${PLUGINS.shared.key}": mail would be handed over to where it comes from`
            );
        }
        if (zone.auth && options['tls'] === 'off') {
            const text = `zone ${name} has auth, and without a verified certificate its password goes to whoever answers`;
            faults.push(fault(key, ['tls'], '"off"', '"verify"', `${text}: expected "verify"`));
        }
    }
    faults.push(...doubles(key, listed));
    return faults;
}

/** The valid names of a list of zones with their places. */
function zoneNames(list: unknown): [number, string][] {
    return (Array.isArray(list) ? list : []).flatMap((name: unknown, index): [number, string][] =>
        v.is(zoneName, name) ? [[index, name]] : []
    );
}

function doubles(key: string, listed: [number, string][]): Fault[] {
    const names = listed.map(([, name]) => name);
    return listed
        .filter(([, name], position) => names.indexOf(name) < position)
        .map(([index, name]) => fault(key, ['zones', index], foundText(name), 'each zone once', `zone ${name} is listed twice`));
}

function unknownZone(key: string, path: (string | number)[], found: unknown, zones: Zones, name = String(found)): Fault {
    const known = [...zones.keys()];
    const meant = nearest(name, known);
    const allowed = known.length > 0 ? `one of the sending zones ${known.join(', ')}` : 'a sending zone, and there are none';
    const hint = meant === undefined ? '' : `, did you mean "${meant}"?`;
    return fault(key, path, foundText(found), allowed, `unknown zone, expected ${allowed}${hint}`);
}

function isEmptyList(list: unknown): boolean {
    return list === undefined || (Array.isArray(list) && list.length === 0);
}
