/**
 * The loopback world: the real services, ZoneMTA with this package, and the fakes that stand where the other side is the
 * internet. The demo and the end-to-end tests drive the same one.
 */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DnsServer, makeAuthority, MxFarm, planMxHosts, RelayServer, reverseZones, Sink, type Destination, type Reply, type Zones } from './internet';
import { addLoopback6 } from './loopback6';
import { startClamd } from './services/clamd';
import { claimLoopback } from './services/loopback';
import { startMongo, type MongoService } from './services/mongo';
import { startPostfix, type PostfixService } from './services/postfix';
import type { Service } from './services/process';
import { startRedis } from './services/redis';
import { startRspamd, type RspamdOptions } from './services/rspamd';
import { SMTP_PORT, startZoneMta, type HostTables, type Release, type ZoneMta } from './zonemta';

export const SENDER_DOMAIN = 'sender.example';
export const RELAY_USER = 'provider';
export const RELAY_PASSWORD = 'correct-horse-battery';
const MX_PORT = 2525;

/** What may change with a restart of ZoneMTA. */
export interface Changes {
    /** Options of the plugins by name (`index`, `rspamd`, ...), over the world's own; `false` leaves the plugin out. */
    plugins?: Record<string, Record<string, unknown> | false>;
    /** The settings are wrong on purpose. */
    closed?: boolean;
}

export interface WorldOptions extends Changes {
    release: Release;
    /** Destinations may need to know the pool (to refuse a share of it). */
    destinations: (pool: Pool) => readonly Destination[];
    /** Which recipients the external relay refuses. */
    relayRefuses?: (to: string) => Reply | undefined;
    rspamds?: number;
    /** Of every one of them. */
    rspamd?: Pick<RspamdOptions, 'sign'>;
    /** Servers of the filter group besides these: fakes that the test starts. */
    fakeScanners?: (host: string) => readonly string[];
    postfix?: boolean;
    /** Sender processes of the default zone. */
    processes?: number;
    /** The destinations offer STARTTLS. */
    mxTls?: boolean;
    /** The ledger of the destinations keeps whole messages. */
    keepMail?: boolean;
    /** Other tables of ZoneMTA's configuration, over the world's own; those in `plugins` are added. */
    config?: HostTables | ((host: string) => HostTables);
    keep?: boolean;
    /** Told what is being started. */
    say?: (line: string) => void;
}

/** The operator's addresses: a /24, a part of another one, and IPv6 in two /64 where the machine allows it. */
export interface Pool {
    ipv4: readonly string[];
    ipv6: readonly string[];
    all: readonly string[];
}

export interface World {
    k: number;
    host: string;
    dir: string;
    pool: Pool;
    dns: DnsServer;
    farm: MxFarm;
    relay: RelayServer;
    sink: Sink;
    redis: Service;
    mongo: MongoService;
    rspamds: readonly Service[];
    /** Starts a killed rspamd again; `rspamds` has the new one. */
    restartRspamd(index: number): Promise<void>;
    clamd: Service;
    postfix: PostfixService | undefined;
    zonemta: ZoneMta;
    /** Starts ZoneMTA again on the same data, after a stop or a kill, with other settings if need be. */
    restartZoneMta(changes?: Changes): Promise<void>;
    /** Starts another ZoneMTA beside it on the same Redis and MongoDB, as on a second relay host. */
    startSecond(): Promise<ZoneMta>;
    stop(): Promise<void>;
}

/** Starts everything, in the order of dependence; when something fails, what runs already is stopped. */
export async function startWorld(options: WorldOptions): Promise<World> {
    const say = options.say ?? (() => undefined);
    const undo: (() => Promise<unknown>)[] = [];
    const stop = async () => {
        for (const step of undo.splice(0).reverse()) {
            await step();
        }
    };
    const started = async <T>(starting: Promise<T>, end: (service: T) => Promise<unknown>): Promise<T> => {
        const service = await starting;
        undo.push(() => end(service));
        return service;
    };
    const stoppable = <T extends { stop(): Promise<unknown> }>(starting: Promise<T>): Promise<T> => started(starting, service => service.stop());
    try {
        const { k, host } = await started(claimLoopback(), claim => claim.release());
        const dir = mkdtempSync(join(tmpdir(), 'smart-relay-'));
        if (!options.keep) {
            undo.push(async () => rmSync(dir, { recursive: true, force: true }));
        }
        say(`world 127.${k}.0.0/16 in ${dir}`);

        const plannedPool = poolOf(k, true);
        const planned = options.destinations(plannedPool);
        const mxAddresses = planMxHosts(k, planned).flatMap(({ address6 }) => address6 ?? []);
        const lo = await started(addLoopback6([...plannedPool.ipv6, ...mxAddresses]), six => six.remove());
        const ipv6 = lo.addresses.length > 0;
        say(ipv6 ? `IPv6: ${plannedPool.ipv6.length} pool addresses on lo` : `IPv6 IS LEFT OUT: ${lo.reason ?? 'no addresses'}`);
        const pool = poolOf(k, ipv6);
        const names = new Map(pool.all.map((address, index) => [address, `out${index + 1}.provider.example`]));

        mkdirSync(join(dir, 'ca'));
        const authority = await makeAuthority(join(dir, 'ca'));
        const tls = options.mxTls ? { tls: await authority.issue('mx.example') } : {};
        const farm = await stoppable(MxFarm.start({ k, destinations: ipv6 ? planned : options.destinations(pool), port: MX_PORT, ipv6, keepRaw: options.keepMail === true, ...tls }));
        const sink = await stoppable(Sink.start({ k, domains: [SENDER_DOMAIN], port: MX_PORT }));
        const relay = await stoppable(
            RelayServer.start({ k, authority, user: RELAY_USER, password: RELAY_PASSWORD, ports: { starttls: 2587, tls: 2465 }, ...(options.relayRefuses ? { refuses: options.relayRefuses } : {}) })
        );
        const zones: Zones = { ...farm.zones(), ...sink.zones(), ...relay.zones(), ...reverseZones(names) };
        const dns = await stoppable(DnsServer.start({ k, zones }));

        const [redis, mongo, clamd] = await Promise.all([stoppable(startRedis({ host, dir })), stoppable(startMongo({ host, dir })), stoppable(startClamd({ host, dir }))]);
        say(`Redis, clamd; MongoDB: ${mongo.kind}`);
        const nameserver = `${dns.address}:5355`;
        const launchRspamd = (index: number) => startRspamd({ host, dir, port: 11333 + index, nameserver, redis: `${host}:6379`, clamd: `${host}:3310`, ...options.rspamd });
        const rspamds: Awaited<ReturnType<typeof launchRspamd>>[] = [];
        undo.push(() => Promise.all(rspamds.map(service => service.stop())));
        await Promise.all(Array.from({ length: options.rspamds ?? 1 }, async (_, index) => (rspamds[index] = await launchRspamd(index))));
        const scanners = [...rspamds.map(service => service.url), ...(options.fakeScanners?.(host) ?? [])];
        const launch = (changes: Changes, instance: { host: string; name: string } = { host, name: 'zonemta' }) => {
            const config = configOf({ options: { ...options, ...changes }, host, nameserver, mongo: mongo.url, names, relay, rspamds: scanners, instance: instance.name });
            return startZoneMta({ release: options.release, ...instance, dir, config, caFile: authority.caFile, closed: changes.closed ?? false, bare: changes.plugins?.['index'] === false });
        };
        let zonemta = await launch(options);
        undo.push(() => zonemta.stop());
        say(`ZoneMTA ${options.release}`);
        const postfix = options.postfix
            ? await stoppable(startPostfix({ host, dir, relayhost: `[${host}]:${SMTP_PORT}`, senderDomain: SENDER_DOMAIN, sink: { host: sink.address, port: sink.port } }))
            : undefined;
        return {
            k,
            host,
            dir,
            pool,
            dns,
            farm,
            relay,
            sink,
            redis,
            mongo,
            rspamds,
            async restartRspamd(index) {
                await rspamds[index]?.stop();
                rspamds[index] = await launchRspamd(index);
            },
            clamd,
            postfix,
            get zonemta() {
                return zonemta;
            },
            async restartZoneMta(changes = options) {
                await zonemta.stop();
                zonemta = await launch(changes);
            },
            startSecond: () => stoppable(launch(options, { host: `127.${k}.0.2`, name: 'zonemta-2' })),
            stop
        };
    } catch (err) {
        await stop();
        throw err;
    }
}

function poolOf(k: number, ipv6: boolean): Pool {
    const range = (prefix: string, count: number, radix: number) => Array.from({ length: count }, (_, n) => `${prefix}${n.toString(radix)}`);
    const ipv4 = [...range(`127.${k}.16.`, 256, 10), ...range(`127.${k}.32.`, 16, 10)];
    const six = ipv6 ? [...range(`2001:db8:${k}:16::1`, 8, 16), ...range(`2001:db8:${k}:32::1`, 8, 16)] : [];
    return { ipv4, ipv6: six, all: [...ipv4, ...six] };
}

interface ConfigParts {
    options: WorldOptions;
    host: string;
    nameserver: string;
    mongo: string;
    names: ReadonlyMap<string, string>;
    relay: RelayServer;
    rspamds: readonly string[];
    /** Instances on one queue need names of their own (`queue.instanceId`). */
    instance: string;
}

function configOf({ options, host, nameserver, mongo, names, relay, rspamds, instance }: ConfigParts): HostTables {
    const own = typeof options.config === 'function' ? options.config(host) : (options.config ?? {});
    return {
        nameservers: [nameserver],
        // ZoneMTA's MTA-STS cache must not keep mail waiting while Redis is away (README)
        dbs: { mongo, sender: new URL(mongo).pathname.slice(1), redis: { host, port: 6379, db: 3, enableOfflineQueue: false, maxRetriesPerRequest: 1, commandTimeout: 1000 } },
        dns: { caching: false, blockLocalAddresses: false },
        // ZoneMTA's own limit of 5 deliveries at once to one domain would hold back what 272 addresses can send (README)
        domainConfig: { defaults: { maxConnections: 100 } },
        pools: { default: [...names].map(([address, name]) => ({ address, name })) },
        zones: {
            default: { pool: 'default', port: MX_PORT, ignoreIPv6: false, connections: 10, processes: options.processes ?? 1 },
            bounces: { pool: 'default', port: MX_PORT, ignoreIPv6: true, connections: 2, processes: 1 },
            relay: { pool: 'default', host: relay.name, port: relay.ports.starttls, auth: { user: RELAY_USER, pass: RELAY_PASSWORD }, ignoreIPv6: true, connections: 3, processes: 1 }
        },
        ...own,
        // a retry after seconds, where ZoneMTA itself would wait 5 minutes (ms)
        queue: { deferTimes: [4000, 4000, 6000, 6000, 8000, 8000], instanceId: instance, ...(own['queue'] as HostTables | undefined) },
        plugins: { ...pluginsOf(options, rspamds), ...(own['plugins'] as HostTables | undefined) }
    };
}

function pluginsOf({ plugins = {} }: WorldOptions, rspamds: readonly string[]): HostTables {
    const ours: Record<string, Record<string, unknown>> = {
        index: { enabled: ['main', 'receiver', 'sender'], zones: ['default'] },
        rspamd: { enabled: ['receiver', 'main'], servers: rspamds },
        'random-ip': { enabled: ['sender'] },
        reputation: { enabled: ['sender'], rerouteBudget: { floor: 1000, perSender: 1000 } },
        relay: { enabled: ['sender', 'main'], zones: ['relay'], maxAge: '1m' }
    };
    const strangers = Object.keys(plugins).filter(name => !(name in ours));
    const tables = [...Object.entries(ours), ...strangers.map(name => [name, {}] as const)].flatMap(([name, options], index) => {
        const own = plugins[name];
        const key = `modules/zonemta-smart-relay${name === 'index' ? '' : `/${name}`}`;
        return own === false ? [] : [[key, { ordering: index + 1, ...options, ...own }]];
    });
    return {
        ...(Object.fromEntries(tables) as HostTables),
        'core/default-headers': { enabled: ['receiver', 'main', 'sender'], addMissing: ['message-id', 'date'], allowRoutingHeaders: ['api', 'bounce'] },
        'core/email-bounce': { enabled: 'main', sendingZone: 'bounces', mailerDaemon: { name: 'Mail Delivery Subsystem', address: 'mailer-daemon@[HOSTNAME]' } }
    };
}
