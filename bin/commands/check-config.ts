import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { request } from 'undici';
import { loadProviders } from '../../lib/providers/patterns';
import { loadRules, packageRulesDir } from '../../lib/responses/load';
import { parseSettings, type Fault, type HostZones, type Settings } from '../../lib/settings/parse';
import { readArgs, type Command } from './command';
import { hostFolder, readHost } from './host-folder';

const MAX_DEPTH = 3;
const PING_MS = 3000;

/** A fault, and the file to open. */
interface Finding {
    file: string;
    message: string;
}

/** All TOML files beside and below the configuration file. */
function tomlFiles(folder: string, depth = 0): string[] {
    return readdirSync(folder, { withFileTypes: true }).flatMap(entry => {
        const path = join(folder, entry.name);
        if (entry.isDirectory()) {
            return depth < MAX_DEPTH && entry.name !== 'node_modules' ? tomlFiles(path, depth + 1) : [];
        }
        return entry.name.endsWith('.toml') ? [path] : [];
    });
}

/** The files with this plugin's table. */
function filesOf(table: string, files: readonly string[]): string[] {
    const header = new RegExp(`^\\s*\\[\\s*(?:plugins\\s*\\.\\s*)?["']${table.replace(/[.*+?^${}()|[\]\\/]/g, '\\$&')}["']\\s*\\]`, 'm');
    return files.filter(file => header.test(readFileSync(file, 'utf8')));
}

function located(faults: readonly Fault[], main: string, files: readonly string[]): Finding[] {
    return faults.map(({ table, message }) => ({ file: filesOf(table, files)[0] ?? main, message }));
}

/** ZoneMTA merges included files table by table: of two with the same table the first, by name, replaces the other's whole. */
function doubled(plugins: Record<string, unknown>, files: readonly string[]): Finding[] {
    return Object.keys(plugins).flatMap(table => {
        const [first, ...others] = filesOf(table, files);
        return first === undefined ? [] : others.map(other => ({ file: other, message: `["${table}"] stands in ${first} too: ZoneMTA uses one of them only` }));
    });
}

/** Rules, provider table and scanners: what only shows when it is used. */
async function tried(settings: Settings, folder: string, main: string): Promise<Finding[]> {
    const { rulesDir, providersFile } = settings.shared;
    const attempts: [string, () => unknown][] = [
        [rulesDir, () => rulesDir && loadRules([resolve(folder, rulesDir), packageRulesDir()])],
        [providersFile, () => providersFile && loadProviders([resolve(folder, providersFile)])]
    ];
    const findings = attempts.flatMap(([file, attempt]): Finding[] => {
        try {
            attempt();
            return [];
        } catch (err) {
            return [{ file, message: (err as Error).message }];
        }
    });
    const pings = await Promise.all((settings.rspamd?.servers ?? []).map(async server => ({ server, failure: await pingFailure(server) })));
    const silent = pings.flatMap(({ server, failure }) => (failure === undefined ? [] : [{ file: main, message: `rspamd at ${server} does not answer: ${failure}` }]));
    return [...findings, ...silent];
}

async function pingFailure(server: string): Promise<string | undefined> {
    try {
        const { statusCode, body } = await request(new URL('/ping', server), { signal: AbortSignal.timeout(PING_MS) });
        return statusCode === 200 && (await body.text()).trim() === 'pong' ? undefined : `HTTP ${statusCode}`;
    } catch (err) {
        return (err as Error).message || (err as NodeJS.ErrnoException).code || 'no connection';
    }
}

async function run(argv: readonly string[]): Promise<number> {
    const { values, positionals } = readArgs({ args: [...argv], options: { config: { type: 'string' } }, allowPositionals: true });
    const { folder, file: named } = hostFolder('check-config', positionals, values.config);
    const { plugins = {}, zones = {}, pools = {} } = await readHost(folder, named);
    const files = tomlFiles(dirname(named));
    const { settings, faults } = parseSettings(plugins, { zones, pools } as HostZones);
    const findings = [...located(faults, named, files), ...doubled(plugins, files), ...(settings ? await tried(settings, folder, named) : [])];
    for (const { file, message } of findings) {
        process.stdout.write(`${relative(process.cwd(), file) || file}: ${message}\n`);
    }
    if (findings.length === 0) {
        process.stdout.write(`${relative(process.cwd(), named) || named}: no fault found\n`);
    }
    return findings.length === 0 ? 0 : 1;
}

/** `check-config`: what is wrong with a configuration, before ZoneMTA is restarted with it. */
export const checkConfigCommand: Command = {
    name: 'check-config',
    usage: 'check-config [DIR] [--config FILE]',
    summary: 'load the configuration as ZoneMTA in DIR does, and name each fault with its file',
    run
};
