import { hostname } from 'node:os';
import { Lookups, resolverFor } from '../../lib/checks/dns';
import { CHECKS, type CheckName, type Finding } from '../../lib/checks/finding';
import { checkHost, checkWorld } from '../../lib/checks/self-check';
import { configuredPools } from '../../lib/process/pools';
import { parseSettings, type HostZones, type Settings } from '../../lib/settings/parse';
import { nameserversOf, type HostConfig } from '../../lib/zonemta/host';
import { readArgs, type Command } from './command';
import { hostFolder, readHost } from './host-folder';

/** An address of a zone, and all that was found out about it. */
interface Row {
    zone: string;
    address: string;
    findings: readonly Finding[];
}

async function rowsOf(host: HostConfig, settings: Settings): Promise<Row[]> {
    const rows = [...configuredPools(host, settings)].flatMap(([zone, pool]) => pool.map(entry => ({ zone, entry })));
    const pool = rows.map(({ entry }) => entry);
    const here = await checkHost(pool.map(({ address }) => address));
    const world = await checkWorld(pool, {
        lookups: new Lookups(resolverFor(nameserversOf(host))),
        dnsbl: settings.shared.dnsbl,
        // a person who asks wants to know of these too
        globalLists: () => settings.reputation?.globalLists ?? [],
        hostName: hostname()
    });
    return rows.map(({ zone, entry: { address } }) => ({ zone, address, findings: [...(here.get(address) ?? []), ...(world.get(address) ?? [])] }));
}

/** The worst of all findings of a check: one word a cell. */
function cell(findings: readonly Finding[], check: CheckName): string {
    const results = findings.filter(found => found.check === check).map(({ result }) => result);
    if (results.length === 0) {
        return '-';
    }
    return results.includes('failed') ? 'FAIL' : results.includes('unknown') ? '?' : 'ok';
}

function table(rows: readonly Row[]): string {
    const checks = CHECKS.filter(check => rows.some(({ findings }) => findings.some(found => found.check === check)));
    const lines = [
        ['zone', 'address', ...checks, ''],
        ...rows.map(({ zone, address, findings }) => [zone, address, ...checks.map(check => cell(findings, check)), findings.flatMap(({ detail }) => detail || []).join('; ')])
    ];
    const widths = lines[0]?.map((_, column) => Math.max(...lines.map(line => line[column]?.length ?? 0))) ?? [];
    return lines.map(line => `${line.map((text, column) => text.padEnd(widths[column] ?? 0)).join('  ').trimEnd()}\n`).join('');
}

async function run(argv: readonly string[]): Promise<number> {
    const { values, positionals } = readArgs({ args: [...argv], options: { config: { type: 'string' }, json: { type: 'boolean' } }, allowPositionals: true });
    const { folder, file } = hostFolder('check-pool', positionals, values.config);
    const { plugins = {}, ...host } = await readHost(folder, file);
    const { zones = {}, pools = {} } = host as HostConfig;
    const { settings, faults } = parseSettings(plugins, { zones, pools } satisfies HostZones);
    if (!settings) {
        throw new Error(faults.map(({ message }) => message).join('\n'));
    }
    const rows = await rowsOf(host as HostConfig, settings);
    process.stdout.write(values.json ? `${JSON.stringify({ addresses: rows })}\n` : table(rows));
    return rows.some(({ findings }) => findings.some(({ result }) => result === 'failed')) ? 1 : 0;
}

/** `check-pool`: what the rounds of checks say of each address, without a running ZoneMTA. Exit code 1 when one of them fails. */
export const checkPoolCommand: Command = {
    name: 'check-pool',
    usage: 'check-pool [DIR] [--config FILE] [--json]',
    summary: 'look at each pool address: can it be bound, route, PTR record, EHLO name, public lists',
    run
};
