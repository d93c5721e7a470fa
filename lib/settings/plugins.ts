import { fault, foundText, NOTHING, type Fault } from './faults';
import { nearest } from './nearest';
import { isTable } from './tables';

/** The plugins of the package, by the name that its code uses. */
export type PluginName = 'shared' | 'rspamd' | 'randomIp' | 'reputation' | 'relay';

/** ZoneMTA's key of each plugin, and the processes that it has work in. */
export const PLUGINS: Readonly<Record<PluginName, { key: string; contexts: readonly string[] }>> = {
    shared: { key: 'modules/zonemta-smart-relay', contexts: ['main', 'receiver', 'sender'] },
    rspamd: { key: 'modules/zonemta-smart-relay/rspamd', contexts: ['receiver', 'main'] },
    randomIp: { key: 'modules/zonemta-smart-relay/random-ip', contexts: ['sender'] },
    reputation: { key: 'modules/zonemta-smart-relay/reputation', contexts: ['sender'] },
    relay: { key: 'modules/zonemta-smart-relay/relay', contexts: ['sender', 'main'] }
};

/** An enabled plugin's table, apart from what belongs to ZoneMTA. */
export interface PluginTable {
    /** The key as it stands in the configuration. */
    key: string;
    options: Record<string, unknown>;
}

const PLUGIN_NAMES = Object.keys(PLUGINS) as PluginName[];

/** What belongs to ZoneMTA in a plugin's table. */
const HOST_OPTIONS = ['enabled', 'ordering', 'path'];

const CONTEXTS = ['main', 'receiver', 'sender', '*'];

/**
 * The package's enabled plugins in ZoneMTA's whole table of plugins. What is wrong with the keys and with `enabled` goes to
 * `faults`; a plugin whose `enabled` is wrong counts as enabled, so that its options are checked in the same run.
 */
export function findPlugins(plugins: Record<string, unknown>, faults: Fault[]): Map<PluginName, PluginTable> {
    const found = new Map<PluginName, PluginTable>();
    for (const [key, value] of Object.entries(plugins)) {
        // ZoneMTA takes any number of dots and slashes before "modules/".
        const plain = key.replace(/^[./]*modules\//, 'modules/');
        if (plain !== PLUGINS.shared.key && !plain.startsWith(`${PLUGINS.shared.key}/`)) {
            continue;
        }
        const name = PLUGIN_NAMES.find(candidate => PLUGINS[candidate].key === plain);
        if (name === undefined) {
            faults.push(unknownPlugin(key, plain));
            continue;
        }
        const table = enabledTable(name, key, value, faults);
        if (!table) {
            continue;
        }
        if (found.has(name)) {
            const allowed = `one table, "${PLUGINS[name].key}"`;
            faults.push(fault(key, [], 'a second table', allowed, `ZoneMTA would load it twice, expected ${allowed}`));
        } else {
            found.set(name, table);
        }
    }
    return found;
}

function unknownPlugin(key: string, plain: string): Fault {
    const keys = PLUGIN_NAMES.map(name => PLUGINS[name].key);
    const meant = nearest(plain, keys);
    return fault(
        key,
        [],
        'unknown plugin',
        meant ?? keys.join(', '),
        meant === undefined ? `the plugins are ${keys.join(', ')}` : `did you mean "${meant}"?`
    );
}

function enabledTable(name: PluginName, key: string, value: unknown, faults: Fault[]): PluginTable | undefined {
    if (!value) {
        return undefined;
    }
    // `true` is ZoneMTA's short form of "enabled everywhere, no options".
    const given = value === true ? { enabled: true } : value;
    if (!isTable(given)) {
        faults.push(fault(key, [], foundText(given), 'a table of options'));
        return undefined;
    }
    const { enabled } = given;
    const options = Object.fromEntries(Object.entries(given).filter(([option]) => !HOST_OPTIONS.includes(option)));
    if (enabled === undefined) {
        // ZoneMTA skips such a table without a word: mail would go out unscanned, or from one address.
        faults.push(fault(key, ['enabled'], NOTHING, `false or ${asList(PLUGINS[name].contexts)}`));
    } else if (!enabled) {
        return undefined;
    } else if (lacksContexts(enabled, PLUGINS[name].contexts)) {
        faults.push(fault(key, ['enabled'], foundText(enabled), asList(PLUGINS[name].contexts)));
    }
    return { key, options };
}

/** Does a plugin lack a process that it needs, or name one that ZoneMTA does not have? Read as ZoneMTA reads it. */
function lacksContexts(enabled: unknown, needed: readonly string[]): boolean {
    const contexts = [enabled].flat().map(context => {
        if (context === true) {
            return '*';
        }
        return typeof context === 'string' ? context.toLowerCase().trim() : '';
    });
    const known = contexts.every(context => CONTEXTS.includes(context));
    return !known || !(contexts.includes('*') || needed.every(context => contexts.includes(context)));
}

function asList(contexts: readonly string[]): string {
    return `[${contexts.map(context => `"${context}"`).join(', ')}]`;
}
