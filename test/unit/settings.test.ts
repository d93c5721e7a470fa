/** Schema, example file and documentation of every option say the same; units; what comes out of a right configuration. */
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import fc from 'fast-check';
import { parse } from 'smol-toml';
import * as v from 'valibot';
import { describe, expect, it } from 'vitest';
import { parseSettings, type HostZones } from '../../lib/settings/parse';
import { PLUGINS, type PluginName } from '../../lib/settings/plugins';
import { randomIpSchema } from '../../lib/settings/random-ip';
import { relaySchema } from '../../lib/settings/relay';
import { reputationSchema } from '../../lib/settings/reputation';
import { rspamdSchema } from '../../lib/settings/rspamd';
import { sharedSchema } from '../../lib/settings/shared';
import { isTable } from '../../lib/settings/tables';
import { duration, size } from '../../lib/settings/units';

type Table = Record<string, unknown>;

const ROOT = join(__dirname, '../..');

/** Each plugin's example file, schema and required options (as in the example). */
const CASES: { name: PluginName; file: string; schema: v.GenericSchema; required: Table }[] = [
    { name: 'shared', file: 'index', schema: sharedSchema, required: {} },
    { name: 'rspamd', file: 'rspamd', schema: rspamdSchema, required: { servers: ['http://127.0.0.1:11333'] } },
    { name: 'randomIp', file: 'random-ip', schema: randomIpSchema, required: {} },
    { name: 'reputation', file: 'reputation', schema: reputationSchema, required: {} },
    { name: 'relay', file: 'relay', schema: relaySchema, required: { zones: ['relay'] } }
];

const HOST: HostZones = {
    zones: {
        default: { pool: 'default' },
        Suspect: { pool: ['192.0.2.9'] },
        relay: { host: 'smtp.provider.example', auth: { user: 'us' } }
    },
    pools: { default: [{ address: '192.0.2.1', name: 'out1.example.com' }, { address: '2001:db8::1' }] }
};

/** The reader that wild-config brings to ZoneMTA: TOML 0.4, stricter than ours in what it takes. */
function hostToml(text: string): Table {
    const host = join(ROOT, 'test/bed/hosts/zonemta-3.10.3');
    if (!existsSync(join(host, 'node_modules'))) {
        throw new Error('ZoneMTA is not installed in test/bed/hosts: `npm test` does it');
    }
    const hostRequire = createRequire(join(host, 'package.json'));
    const toml = createRequire(hostRequire.resolve('wild-config'))('toml') as { parse(text: string): Table };
    return toml.parse(text);
}

function example(file: string): string {
    return readFileSync(join(ROOT, 'config/plugins', `${file}.toml`), 'utf8');
}

function exampleTable(name: PluginName, file: string): Table {
    return parse(example(file))[PLUGINS[name].key] as Table;
}

function withoutHostKeys(table: Table): Table {
    return Object.fromEntries(Object.entries(table).filter(([key]) => !['enabled', 'ordering'].includes(key)));
}

/** Paths of all options: `rerouteBudget.share`; a table without entries is an option itself. */
function optionPaths(table: Table, above = ''): string[] {
    return Object.entries(table)
        .flatMap(([key, value]) => {
            const path = above + (/^[\w-]+$/.test(key) ? key : JSON.stringify(key));
            return isTable(value) && Object.keys(value).length > 0 ? optionPaths(value, `${path}.`) : [path];
        })
        .sort();
}

/** Rows of a plugin's table in docs/options.md: option and default, both as TOML. */
function documented(name: PluginName): { option: string; value: string }[] {
    const text = readFileSync(join(ROOT, 'docs/options.md'), 'utf8');
    const section = text.split(/^## /m).find(part => part.startsWith(part.split(': ')[0] + `: \`${PLUGINS[name].key}\`\n`)) ?? '';
    return [...section.matchAll(/^\| `([^`]+)` \| (?:`([^`]+)`|(\w+)) \|/gm)].map(([, option = '', value, word]) => ({
        option,
        value: value ?? word ?? ''
    }));
}

describe.each(CASES)('options of $file', ({ name, file, schema, required }) => {
    const defaults = v.parse(schema, required) as Table;

    it('the example has every option, each at its default', () => {
        const options = withoutHostKeys(exampleTable(name, file));
        expect(v.parse(schema, options)).toEqual(defaults);
        expect(optionPaths(options)).toEqual(optionPaths(defaults));
    });

    it('the example enables the plugin in the processes that it needs, in an order that ZoneMTA keeps', () => {
        const { enabled, ordering } = exampleTable(name, file);
        expect(enabled).toEqual(PLUGINS[name].contexts);
        expect(ordering).toBe(CASES.findIndex(other => other.name === name) + 1);
    });

    it('the example says the same to the TOML reader of ZoneMTA', () => {
        expect(hostToml(example(file))).toEqual(parse(example(file)));
    });

    it('the documentation has every option with its default', () => {
        const rows = documented(name);
        const absent = rows.filter(row => row.value === 'none').map(row => row.option);
        expect(rows.filter(row => row.value === 'required').map(row => row.option)).toEqual(Object.keys(required));
        expect(
            rows
                .map(row => row.option)
                .filter(option => !absent.includes(option))
                .sort()
        ).toEqual(optionPaths(defaults));
        for (const option of absent) {
            expect(v.safeParse(schema, { ...required, ...parse(`${option} = "1h"`) }).success, option).toBe(true);
        }
        const written = parse(
            rows
                .filter(row => !['required', 'none'].includes(row.value))
                .map(row => `${row.option} = ${row.value}`)
                .join('\n')
        );
        expect(v.parse(schema, { ...written, ...required })).toEqual(defaults);
    });
});

describe('the five examples together', () => {
    it('are right once the operator has named a zone', () => {
        const plugins = Object.assign({}, ...CASES.map(({ file }) => parse(example(file)))) as Record<string, Table>;
        const { faults } = parseSettings(plugins, HOST);
        expect(faults.map(fault => fault.key)).toEqual(['zones']);
        const shared = { ...plugins[PLUGINS.shared.key], zones: ['default'] };
        const { settings, faults: none } = parseSettings({ ...plugins, [PLUGINS.shared.key]: shared }, HOST);
        expect(none).toEqual([]);
        expect(settings).toMatchObject({
            shared: { zones: ['default'], subnets4: [28, 24] },
            rspamd: { timeout: 10_000, maxSize: 52_428_800 },
            randomIp: { families: { default: 0.5 }, weights: {} },
            reputation: { delays: [0, 1000, 5000, 30_000] },
            relay: { maxAge: 86_400_000, relayAfter: { 'ip-rate': 7_200_000 } }
        });
    });
});

describe('a right configuration', () => {
    const shared = { enabled: true, zones: ['default'] };
    const rspamd = { enabled: ['receiver', 'main'], servers: ['http://127.0.0.1:11333/'] };
    const minimal: Record<PluginName, Table> = {
        shared,
        rspamd,
        randomIp: { enabled: 'sender' },
        reputation: { enabled: ['*'] },
        relay: { enabled: [true], zones: ['relay'] }
    };
    const on = (names: PluginName[], more: Table = {}): Table => ({
        [PLUGINS.shared.key]: shared,
        ...Object.fromEntries(names.map(name => [PLUGINS[name].key, minimal[name]])),
        ...more
    });

    it.each<PluginName[][]>([
        [['rspamd']],
        [['randomIp']],
        [['randomIp', 'reputation']],
        [['randomIp', 'reputation', 'relay']],
        [['rspamd', 'randomIp']],
        [['rspamd', 'randomIp', 'reputation', 'relay']]
    ])('may enable %j', names => {
        const { settings, faults } = parseSettings(on(names), HOST);
        expect(faults).toEqual([]);
        expect(Object.keys(settings ?? {})).toEqual(['shared', ...names]);
    });

    it('may leave a plugin out with false, and have plugins of others', () => {
        const others = {
            [PLUGINS.randomIp.key]: false,
            [PLUGINS.relay.key]: { enabled: false, zones: 1 },
            'core/email-bounce': { enabled: 'main' }
        };
        expect(parseSettings(on(['rspamd'], others), HOST).settings?.randomIp).toBeUndefined();
    });

    it('may have dots and slashes before "modules/", as ZoneMTA allows', () => {
        const plugins = { './modules/zonemta-smart-relay': shared, '../modules/zonemta-smart-relay/rspamd': rspamd };
        expect(parseSettings(plugins, HOST).settings?.rspamd?.servers).toEqual(['http://127.0.0.1:11333']);
    });

    it('changes one action, share or zone without losing the defaults of the others', () => {
        const plugins = on(['rspamd', 'randomIp'], {
            [PLUGINS.rspamd.key]: { ...rspamd, actions: { 'add header': 'zone:suspect' } },
            [PLUGINS.randomIp.key]: {
                enabled: 'Sender',
                families: { 'mx.example.net': 1 },
                weights: { '192.0.2.1': 0.5, '2001:db8::/64': 2 },
                warmUp: { since: { '192.0.2.0/28': '2026-03-31' }, fullAt: 500 }
            }
        });
        const { settings } = parseSettings(plugins, HOST);
        expect(settings?.rspamd?.actions).toMatchObject({ 'add header': 'zone:suspect', reject: 'reject', 'soft reject': 'tempfail' });
        expect(settings?.randomIp).toEqual({
            families: { default: 0.5, 'mx.example.net': 1 },
            weights: { '192.0.2.1/32': 0.5, '2001:db8::/64': 2 },
            warmUp: { since: { '192.0.2.0/28': Date.UTC(2026, 2, 31) }, perDay: 50, doubleEvery: 3 * 86_400_000, fullAt: 500 },
            burst: 1
        });
    });

    it('names domains as people do', () => {
        const plugins = on(['randomIp', 'reputation'], {
            [PLUGINS.relay.key]: { enabled: true, zones: ['relay'], exclude: ['Example.COM', '*.example.com', '.bücher.example'] }
        });
        expect(parseSettings(plugins, HOST).settings?.relay?.exclude).toEqual(['example.com', '.example.com', '.xn--bcher-kva.example']);
    });
});

describe('units', () => {
    const anyDuration = duration('0s', '999d');
    const anySize = size('0B', '999GiB');

    it.each([
        ['500ms', 500],
        ['90s', 90_000],
        ['5m', 300_000],
        ['24h', 86_400_000],
        ['7d', 604_800_000],
        ['0s', 0]
    ])('%s is %d ms', (text, ms) => {
        expect(v.parse(anyDuration, text)).toBe(ms);
    });

    it.each([
        ['100B', 100],
        ['512KB', 512_000],
        ['1KiB', 1024],
        ['50MiB', 52_428_800],
        ['1GB', 1e9]
    ])('%s is %d bytes', (text, bytes) => {
        expect(v.parse(anySize, text)).toBe(bytes);
    });

    it.each(['', '10', '1.5h', '-1s', ' 1s', '1 s', '1S', '1M', '9999999999s', '1constructor', 0, 10, null])('%j is neither', input => {
        expect(v.safeParse(anyDuration, input).success).toBe(false);
        expect(v.safeParse(anySize, input).success).toBe(false);
    });
});

describe('any configuration at all', () => {
    const anything = fc.anything({ withBigInt: true, withDate: true, withNullPrototype: true });
    const names = CASES.flatMap(({ schema, required }) => Object.keys(v.parse(schema, required) as Table));
    const option = fc.constantFrom('enabled', ...names);
    const options = fc.dictionary(
        fc.oneof(option, fc.string()),
        fc.oneof(anything, fc.constantFrom(true, 'sender', ['default'], ['relay'], '24h'))
    );
    const table = fc.oneof(
        options,
        options.map(given => ({ enabled: true, ...given })),
        anything
    );
    const key = fc.oneof(
        fc.constantFrom('./modules/zonemta-smart-relay', ...Object.values(PLUGINS).map(plugin => plugin.key)),
        fc.string().map(sub => `modules/zonemta-smart-relay/${sub}`),
        fc.string()
    );

    it('gives settings or at least one fault, each on one line, without a throw or a secret', () => {
        fc.assert(
            fc.property(fc.dictionary(key, table), plugins => {
                const { settings, faults } = parseSettings(plugins, HOST);
                expect(settings === undefined).toBe(faults.length > 0);
                for (const fault of faults) {
                    expect(fault.message).toMatch(/^plugins\."[^\n\r\u2028\u2029]+$/);
                    expect(fault.found.length).toBeLessThanOrEqual(60);
                    if (/password|apiToken/.test(fault.key)) {
                        expect(['(secret)', '(not shown)']).toContain(fault.found);
                    }
                }
            }),
            { numRuns: 2000 }
        );
    });
});
