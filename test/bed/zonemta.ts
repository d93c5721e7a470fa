/** An unmodified ZoneMTA of one of the two releases, with this package installed, as an operator would run it. */
import { existsSync, mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'smol-toml';
import { repository } from './repository';
import { ask, serviceOf, startChild, untilReady, type Service } from './services/process';

export const RELEASES = ['3.10.3', '3.11.0'] as const;
export type Release = (typeof RELEASES)[number];

/** A ZoneMTA configuration, as it stands in its TOML file. */
export type HostTables = Record<string, unknown>;

export interface ZoneMtaOptions {
    release: Release;
    host: string;
    /** The world's folder; this instance's own is below it. */
    dir: string;
    name?: string;
    config: HostTables;
    /** A CA that the processes trust besides the well-known ones. */
    caFile?: string;
    /** Says that the settings are wrong on purpose. Otherwise a closed gate fails the start, with its reasons. */
    closed?: boolean;
    /** Says that smart-relay is left out. */
    bare?: boolean;
}

export interface ZoneMta extends Service {
    readonly release: Release;
    readonly configFile: string;
    /** Calls ZoneMTA's HTTP API, with the parsed answer. */
    api(path: string, init?: RequestInit): Promise<{ status: number; body: unknown }>;
}

export const SMTP_PORT = 2525;
export const API_PORT = 12080;
const QUEUE_PORT = 8081;
const READY_MS = 60_000;

/** Starts ZoneMTA and waits until it takes mail, and until smart-relay's gate is open in all senders, or closed. */
export async function startZoneMta(options: ZoneMtaOptions): Promise<ZoneMta> {
    const { release, host, config } = options;
    const dir = join(options.dir, options.name ?? 'zonemta');
    const install = installation(release);
    mkdirSync(join(dir, 'plugins'), { recursive: true });
    link(join(install.folder, 'node_modules'), join(dir, 'node_modules'));
    // 3.10.3 looks for core plugins below the working directory, whatever it is configured to (lib/plugins.js)
    link(join(install.app, 'plugins', 'core'), join(dir, 'plugins', 'core'));
    const configFile = join(dir, 'zone-mta.toml');
    writeFileSync(configFile, stringify({ ...base(host), ...config }));
    const logFile = join(dir, 'zone-mta.log');
    const logged = existsSync(logFile) ? statSync(logFile).size : 0;
    const child = startChild({
        name: `zonemta-${release}`,
        command: install.node,
        args: [join(install.app, 'app.js'), `--config=${configFile}`],
        cwd: dir,
        env: { ...cleanEnvironment(), ...(options.caFile ? { NODE_EXTRA_CA_CERTS: options.caFile } : {}) },
        logFile,
        grace: 12_000
    });
    const api: ZoneMta['api'] = async (path, init) => {
        const response = await fetch(`http://${host}:${API_PORT}${path}`, { ...init, signal: AbortSignal.timeout(10_000) });
        return { status: response.status, body: (await response.json()) };
    };
    let gate: { gate?: string; faults?: string[] } = {};
    await untilReady(
        child,
        async () => {
            const { status, body } = await api(options.bare ? '/zones' : '/plugin/smart-relay/status');
            gate = body as typeof gate;
            if (status !== 200 || gate.gate === 'waiting') {
                throw new Error(`the plugins are not loaded yet (${status})`);
            }
            if (gate.gate === 'open' && readySenders(logFile, logged) < senders(config)) {
                throw new Error('not all senders are ready');
            }
            // says nothing itself: ZoneMTA turns away who talks before the greeting
            await ask(host, SMTP_PORT, '', reply => reply.startsWith('220'));
        },
        READY_MS
    );
    if (gate.gate === 'closed' && !options.closed) {
        await child.stop();
        throw new Error(`the gate of ZoneMTA ${release} is closed: ${(gate.faults ?? []).join('; ')}`);
    }
    return { ...serviceOf(child, host, SMTP_PORT), release, configFile, api };
}

/** Where a release is installed, and the Node that it asks for. */
export function installation(release: Release): { folder: string; app: string; node: string } {
    const folder = join(repository(), 'test', 'bed', 'hosts', `zonemta-${release}`);
    const app = join(folder, 'node_modules', release === '3.10.3' ? 'zone-mta' : '@zone-eu/zone-mta');
    if (!existsSync(app)) {
        throw new Error(`ZoneMTA ${release} is not installed below ${folder}: run node scripts/setup.mjs`);
    }
    // 3.11.0 needs Node 22, whose binary comes from npm
    const node = release === '3.10.3' ? process.execPath : join(folder, 'node_modules', `node-linux-${process.arch}`, 'bin', 'node');
    return { folder, app, node };
}

/** Sender processes that a configuration asks for. */
function senders(config: HostTables): number {
    const zones = Object.values((config['zones'] ?? {}) as Record<string, { processes?: number }>);
    return zones.reduce((sum, { processes = 1 }) => sum + processes, 0);
}

/** Senders that have said so since the log had this size. A sender that loses Redis while it starts exits, and starts again. */
function readySenders(logFile: string, since: number): number {
    const lines = readFileSync(logFile).subarray(since).toString('latin1').split('\n');
    return lines.filter(line => line.includes('SMART_RELAY_READY') && line.includes('"_smart_relay_context":"sender"')).length;
}

/** What every instance has: its addresses, and a log that says what happens. */
function base(host: string): HostTables {
    return {
        name: 'relay.provider.example',
        ident: 'bed',
        pluginsPath: './plugins',
        log: { level: 'verbose' },
        queueServer: { enabled: true, host, port: QUEUE_PORT },
        api: { host, port: API_PORT, maildrop: true },
        smtpInterfaces: { feeder: { enabled: true, processes: 1, host, port: SMTP_PORT, authentication: false, maxSize: 30_000_000, disableReverseLookup: true } }
    };
}

function link(target: string, path: string): void {
    if (!existsSync(path)) {
        symlinkSync(target, path);
    }
}

/** A test runner's variables are none of ZoneMTA's business, and npm's would change what wild-config reads. */
function cleanEnvironment(): NodeJS.ProcessEnv {
    return Object.fromEntries(['PATH', 'HOME', 'LANG', 'TMPDIR', 'USER'].flatMap(name => (process.env[name] === undefined ? [] : [[name, process.env[name]]])));
}
