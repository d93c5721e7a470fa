/** Everything that the hooks of a process need, built once when all plugins have joined and the settings are proven. */
import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { resolve } from 'node:path';
import type { SenderDelivery } from '@zone-eu/types';
import * as v from 'valibot';
import { resolverFor } from '../checks/dns';
import type { Classification, Reply } from '../delivery/types';
import { FallbackBudget, MemoryBudget, RedisBudget, type BudgetStore } from '../health/budget';
import { Bulletins } from '../health/bulletins';
import { MemoryHealth } from '../health/memory-health';
import { MemoryPace } from '../health/memory-pace';
import { PoolHealth } from '../health/pool-health';
import { PoolPace } from '../health/pool-pace';
import { Reachability } from '../health/reachability';
import { failFast, listen, type RedisPlace, type SharedRedis } from '../health/redis';
import { RedisHealth } from '../health/redis-health';
import { RedisPace } from '../health/redis-pace';
import type { Suspension } from '../health/suspension';
import { SuspensionTable } from '../health/table';
import { Switches } from '../health/switches';
import { History } from '../history/history';
import { Bursts } from '../pool/bursts';
import type { PoolAddress } from '../pool/pool';
import { Destinations, type Destination } from '../providers/lookup';
import { loadProviders, type ProviderPace } from '../providers/patterns';
import { hostResolver } from '../providers/resolver';
import { packageRulesDir } from '../responses/load';
import { classify } from '../responses/match';
import { WatchedRules } from '../responses/watch';
import { Scanner } from '../scan/scanner';
import { packageRoot } from '../settings/package-root';
import { parseSettings, type Settings } from '../settings/parse';
import type { RspamdSettings } from '../settings/rspamd';
import { reputationSchema } from '../settings/reputation';
import type { PluginApp } from '../zonemta/app';
import { sweepSpool } from '../zonemta/body';
import type { Source, Turn } from '../zonemta/delivery';
import { deferTimes, hostConfig, nameserversOf, senderProcesses, senderZone, type HostConfig } from '../zonemta/host';
import { instanceOf } from '../zonemta/orphans';
import type { Gate } from './gate';
import { Evidence } from './evidence';
import { EventLog } from './log';
import { startFreeing } from './orphans';
import { WaitingCounter } from './pacing';
import { configuredPools, keepPool } from './pools';
import { SelfChecks } from './self-checks';

/** An attempt that is under way: what was known when it began. */
export interface Flight {
    startedAt: number;
    destination: Destination;
    /** The drawn address; the connection's own one counts where it is known. */
    address: string;
    /** Why there was no attempt: everything that could be used is suspended; the widest of the suspensions. */
    held?: Suspension;
    /** Why there was no attempt: it is over the pace, and waits for its turn. */
    turn?: Turn;
    /** The address under which the pace counts it until it ends. */
    countedAs?: string;
    /** The attempt has gone on from this address, after the drawn one was refused in the greeting, or could not connect. */
    moved?: Source;
}

/** Messages that the scan has decided, since the start of the process. */
export interface ScanCounts {
    scanned: number;
    /** Answered by another server than the first one asked. */
    moved: number;
    rejected: number;
    putOff: number;
    /** rspamd called it spam, and the settings let it pass. */
    acceptedSpam: number;
    unscanned: number;
    oversize: number;
    skipped: number;
}

export interface Scanning {
    settings: RspamdSettings;
    scanner: Scanner;
    counts: ScanCounts;
}

export interface Services {
    settings: Settings;
    host: HostConfig;
    log: EventLog;
    history: History;
    /** What all processes say of themselves. */
    bulletins: Bulletins;
    /** Where messages come in, when the rspamd plugin is enabled. */
    scanning: Scanning | undefined;
    switches: Switches;
    budget: BudgetStore;
    health: PoolHealth;
    pace: PoolPace;
    /** Configured pace of a provider. */
    paceOf: (provider: string) => ProviderPace;
    waiting: WaitingCounter;
    bursts: Bursts;
    /** Who of us gets through to whom. */
    reachability: Reachability;
    destinations: Destinations;
    classify(reply: Reply, provider: string): Classification;
    /** Usable addresses of a zone's pool. */
    pool(zone: string): readonly PoolAddress[];
    /** Our own look at what a refusal claims. */
    evidence: Evidence;
    /** The rounds of our own checks, in main. */
    checks: SelfChecks | undefined;
    /** ZoneMTA's retry schedule, ms. */
    schedule: readonly number[];
    flights: WeakMap<SenderDelivery, Flight>;
    now: () => number;
    random: () => number;
}

/** Wrong settings: one line a fault. */
export class SettingsError extends Error {
    constructor(readonly faults: readonly string[]) {
        super(faults.join('; '));
    }
}

/**
 * @throws SettingsError for wrong options; other errors for rules and provider tables, which name their file
 */
export async function startServices(app: PluginApp, gate: Gate<Services>): Promise<Services> {
    const now = Date.now;
    const host = hostConfig();
    const { settings, faults } = parseSettings(app.manager.options.plugins ?? {}, { zones: host.zones ?? {}, pools: host.pools ?? {} });
    if (!settings) {
        throw new SettingsError(faults.map(fault => fault.message));
    }
    const { shared } = settings;
    const log = new EventLog(app, now);
    const rules = new WatchedRules([...(shared.rulesDir ? [resolve(shared.rulesDir)] : []), packageRulesDir()], {
        taken: count => log.event('RULES_TAKEN', { rules: count }),
        refused: error => log.event('RULES_REFUSED', { error })
    });
    if (app.manager.context === 'sender') {
        // the others classify nothing: that the rules are sound at the start is all that they need to know
        rules.start();
    }
    const providers = loadProviders([...(shared.providersFile ? [resolve(shared.providersFile)] : []), resolve(packageRoot(), 'config', 'providers.toml')]);
    if (!app.mongodb) {
        throw new Error('ZoneMTA has no MongoDB connection in this process');
    }
    const connection = await connect(app, settings);
    const redis = connection?.client;
    const redisAway = (err: Error) => log.warn('REDIS_AWAY', { error: err.message });
    const history = new History(app.mongodb, shared.historyDays, now, err => log.warn('HISTORY_LOST', { error: err.message }));
    const isMain = app.manager.context === 'main';
    if (isMain) {
        await history.maintain(err => log.event('TTL_MISSING', { error: err.message }));
    }
    const switches = new Switches(redis, shared.keyPrefix, redisAway);
    await switches.start();
    const scanning = startScanning(app, settings, log, now);
    const me = `${app.manager.context}:${hostname()}:${process.pid}`;
    const news = () => ({
        ...(scanning ? { scan: { servers: scanning.scanner.status(), counts: scanning.counts } } : {}),
        ...(isMain ? { instance: instanceOf(app) } : {})
    });
    const bulletins = new Bulletins(redis, shared.keyPrefix, me, news, now, redisAway);
    await bulletins.start();
    if (isMain) {
        startFreeing({ app, bulletins, me, log, now });
    }
    const health = await startHealth(app, settings, connection, now, redisAway);
    const pool = await keepPool(app, host, settings, log, gate);
    const resolver = resolverFor(nameserversOf(host));
    const checks = isMain ? new SelfChecks({ settings, pools: () => configuredPools(host, settings), resolver, health, log, fault: faultIn(app), now }) : undefined;
    checks?.start();
    log.event('READY', { context: app.manager.context, pool: pool(senderZone()).length });
    return {
        settings,
        host,
        log,
        history,
        bulletins,
        scanning,
        switches,
        budget: budgetOf(settings, redis, now, redisAway),
        health,
        pace: new PoolPace(redis && new RedisPace(redis, shared.keyPrefix), new MemoryPace(1 / senderProcesses(host, shared.zones)), now, redisAway),
        paceOf: providers.paceOf,
        waiting: new WaitingCounter(log),
        bursts: new Bursts(settings.randomIp?.burst ?? 1),
        reachability: new Reachability(),
        destinations: new Destinations(hostResolver, providers.patterns, now),
        classify: (reply, provider) => classify(rules.current, reply, provider),
        pool,
        evidence: new Evidence({ resolver, health, log, now }),
        checks,
        schedule: deferTimes(host),
        flights: new WeakMap(),
        now,
        random: Math.random
    };
}

function faultIn(app: PluginApp): (err: Error) => void {
    return err => app.logger.error('SmartRelay', 'a fault in our checks of the pool, ZoneMTA goes on without them: %s', err.stack);
}

/** Mail comes in at receivers, and over HTTP in main. */
function startScanning(app: PluginApp, { rspamd }: Settings, log: EventLog, now: () => number): Scanning | undefined {
    if (!rspamd || app.manager.context === 'sender') {
        return undefined;
    }
    void sweepSpool(now());
    const scanner = new Scanner(
        rspamd,
        {
            ejected: (server, error) => log.event('SCANNER_EJECTED', { server, error }),
            returned: server => log.event('SCANNER_RETURNED', { server })
        },
        now,
        Math.random
    );
    const counts: ScanCounts = { scanned: 0, moved: 0, rejected: 0, putOff: 0, acceptedSpam: 0, unscanned: 0, oversize: 0, skipped: 0 };
    return { settings: rspamd, scanner, counts };
}

interface Connection {
    client: SharedRedis;
    place: RedisPlace;
}

async function connect(app: PluginApp, { shared }: Settings): Promise<Connection | undefined> {
    if (!app.redis) {
        return undefined;
    }
    const place = { host: app.redis, nodes: shared.redisCluster };
    const { client, ready } = failFast(place);
    await ready;
    return { client, place };
}

function budgetOf(settings: Settings, redis: SharedRedis | undefined, now: () => number, redisAway: (err: Error) => void): BudgetStore {
    const limits = settings.reputation?.rerouteBudget ?? { share: 0, floor: 0, perSender: 0 };
    const memory = new MemoryBudget(limits, now);
    return redis ? new FallbackBudget(new RedisBudget(redis, settings.shared.keyPrefix, limits, now), memory, redisAway) : memory;
}

/** The pool's memory. A receiver has no use for it, and listens to nothing. */
async function startHealth(app: PluginApp, settings: Settings, redis: Connection | undefined, now: () => number, warn: (err: Error) => void): Promise<PoolHealth> {
    // without the plugin nothing is struck, but an operator may suspend
    const limits = settings.reputation ?? v.parse(reputationSchema, {});
    const table = new SuspensionTable();
    const shared = redis && new RedisHealth(redis.client, settings.shared.keyPrefix, limits);
    const health = new PoolHealth({ table, own: new MemoryHealth(table, limits), shared, now, mark: randomUUID, warn });
    if (app.manager.context !== 'receiver') {
        if (redis && shared) {
            listen(redis.place, shared.channel, message => health.hear(message), () => void health.listening());
        }
        await health.start();
    }
    return health;
}
