import * as v from 'valibot';
import { crossFaults } from './cross-checks';
import { fault, foundText, NOT_SHOWN, NOTHING, type Fault } from './faults';
import type { HostZones } from './host';
import { findPlugins, type PluginName, type PluginTable } from './plugins';
import { randomIpSchema, type RandomIpSettings } from './random-ip';
import { relaySchema, type RelaySettings } from './relay';
import { reputationSchema, type ReputationSettings } from './reputation';
import { rspamdSchema, type RspamdSettings } from './rspamd';
import { sharedSchema, type SharedSettings } from './shared';

export type { Fault, HostZones, RandomIpSettings, RelaySettings, ReputationSettings, RspamdSettings, SharedSettings };

/** Every option with its value. A plugin that is not enabled is not there. */
export interface Settings {
    shared: SharedSettings;
    rspamd?: RspamdSettings;
    randomIp?: RandomIpSettings;
    reputation?: ReputationSettings;
    relay?: RelaySettings;
}

/** Settings when nothing is wrong, else every fault that was found. */
export interface ParsedSettings {
    settings: Settings | undefined;
    faults: Fault[];
}

/**
 * Reads the settings of all plugins of the package at once: each option by itself, then what only makes sense together.
 *
 * @param plugins ZoneMTA's whole `plugins` table
 * @param host ZoneMTA's zones and pools
 * @returns never throws; either settings and no fault, or no settings and at least one fault
 */
export function parseSettings(plugins: Record<string, unknown>, host: HostZones): ParsedSettings {
    const faults: Fault[] = [];
    const tables = findPlugins(plugins, faults);
    const shared = parsed('shared', sharedSchema);
    const rspamd = parsed('rspamd', rspamdSchema);
    const randomIp = parsed('randomIp', randomIpSchema);
    const reputation = parsed('reputation', reputationSchema);
    const relay = parsed('relay', relaySchema);
    faults.push(...crossFaults(tables, host));
    if (faults.length > 0 || !shared) {
        return { settings: undefined, faults };
    }
    return {
        settings: {
            shared,
            ...(rspamd && { rspamd }),
            ...(randomIp && { randomIp }),
            ...(reputation && { reputation }),
            ...(relay && { relay })
        },
        faults
    };

    function parsed<T>(name: PluginName, schema: v.GenericSchema<unknown, T>): T | undefined {
        const table = tables.get(name);
        if (!table) {
            return undefined;
        }
        const result = v.safeParse(schema, table.options);
        if (!result.success) {
            faults.push(...result.issues.map(issue => toFault(table, issue)));
            return undefined;
        }
        return result.output;
    }
}

/** The schemas' messages are what is allowed; names that are wrong or missing have a wording of their own. */
function toFault({ key }: PluginTable, issue: v.BaseIssue<unknown>): Fault {
    const path = (issue.path ?? []).map(item => item.key as string | number);
    switch (issue.type) {
        case 'raw_check':
            return fault(key, path, NOT_SHOWN, issue.message, issue.message);
        case 'loose_object':
            return fault(key, path, NOTHING, issue.message);
        default:
            // A wrong name in a table of the operator's own names, an address that is none: the path says it.
            return fault(key, path, issue.path?.at(-1)?.origin === 'key' ? NOT_SHOWN : foundText(issue.input, path), issue.message);
    }
}
