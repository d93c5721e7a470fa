/**
 * This package as ZoneMTA runs it: the hooks of lib/process with stores in memory, on a clock that is not the real one. What a
 * ZoneMTA would do with the hooks' answers is `PackageCourse.next`. Other memories in place of the package's own make the strategies
 * that know nothing, or everything.
 */
import type { SenderDelivery, SenderDeliveryError } from '@zone-eu/types';
import type { Db } from 'mongodb';
import type { Reply } from '../../lib/delivery/types';
import { MemoryBudget } from '../../lib/health/budget';
import { Bulletins } from '../../lib/health/bulletins';
import { MemoryHealth } from '../../lib/health/memory-health';
import { MemoryPace } from '../../lib/health/memory-pace';
import { PoolHealth, type PoolHealthOptions } from '../../lib/health/pool-health';
import { PoolPace } from '../../lib/health/pool-pace';
import { Reachability } from '../../lib/health/reachability';
import { SuspensionTable, type HealthView } from '../../lib/health/table';
import type { Change, Place, Suspension } from '../../lib/health/suspension';
import { Switches } from '../../lib/health/switches';
import { History } from '../../lib/history/history';
import { Bursts } from '../../lib/pool/bursts';
import type { PoolAddress } from '../../lib/pool/pool';
import { Evidence } from '../../lib/process/evidence';
import { EventLog } from '../../lib/process/log';
import { leavePace, WaitingCounter } from '../../lib/process/pacing';
import { handleDelivered, handleRefusal } from '../../lib/process/refusal';
import { routeDelivery } from '../../lib/process/route';
import type { Services } from '../../lib/process/services';
import { Destinations } from '../../lib/providers/lookup';
import { loadProviders } from '../../lib/providers/patterns';
import { loadRules, packageRulesDir } from '../../lib/responses/load';
import { classify } from '../../lib/responses/match';
import { packageRoot } from '../../lib/settings/package-root';
import { parseSettings, type ReputationSettings } from '../../lib/settings/parse';
import { ConnectFailure, type PluginApp } from '../../lib/zonemta/app';
import { deferTimes } from '../../lib/zonemta/host';
import { PROVIDERS } from './providers';
import type { Course, Departure, Next, Strategy, Surroundings } from './strategy';
import type { Message } from './traffic';
import type { World } from './world';

const ZONE = 'default';
const RELAY = 'relay';

/** Every option at its default. */
const PLUGINS = {
    'modules/zonemta-smart-relay': { enabled: ['main', 'receiver', 'sender'], zones: [ZONE] },
    'modules/zonemta-smart-relay/random-ip': { enabled: ['sender'] },
    'modules/zonemta-smart-relay/reputation': { enabled: ['sender'] },
    'modules/zonemta-smart-relay/relay': { enabled: ['sender', 'main'], zones: [RELAY] }
};

interface Memory {
    health: (options: PoolHealthOptions, surroundings: Surroundings) => PoolHealth;
    /** A pace that is lowered by refusals is a memory too. */
    paced: boolean;
}

/** The package with its own memory. */
export const withMemory: Memory = { health: options => new PoolHealth(options), paced: true };

/** The package without: all addresses are alike, always, and nobody counts. */
export const withoutMemory: Memory = { health: options => new Forgetful(options), paced: false };

/** The package with the providers' own books open before it. */
export const withOracle: Memory = { health: (options, { world, now }) => new Oracle(options, world, now), paced: true };

class Forgetful extends PoolHealth {
    override async strike(): Promise<Change[]> {
        return [];
    }
}

class Oracle extends Forgetful {
    constructor(
        options: PoolHealthOptions,
        private readonly world: World,
        private readonly now: () => number
    ) {
        super(options);
    }

    override view(provider: string): HealthView {
        const standing = ({ address }: Place) => this.world.standing(provider, address, this.now());
        return { standing: place => (standing(place) === 'welcome' ? 'open' : 'shut'), struckAt: () => 0, isBlamed: place => standing(place) === 'blocked' };
    }

    /** Why nothing can be sent now. */
    override find(provider: string, scopes: readonly string[]): Suspension[] {
        const [scope = ''] = scopes;
        const reason = this.world.standing(provider, scope, this.now()) === 'limited' ? 'ip-rate' : 'ip-reputation';
        return [{ provider, scope, class: reason, code: 550, strikes: 1, struck: this.now(), until: this.now(), probing: 0, note: '' }];
    }

    override async succeed(): Promise<Change[]> {
        return [];
    }

    override async takeTurn(): Promise<boolean> {
        return false;
    }
}

export class PackageStrategy implements Strategy {
    private readonly services: Services;

    constructor({ pool, ...surroundings }: Surroundings, memory: Memory) {
        this.services = servicesOf({ pool, ...surroundings }, memory);
    }

    course(message: Message): Course {
        return new PackageCourse(this.services, message);
    }

    suspends(provider: string, entry: PoolAddress): boolean {
        return this.services.health.view(provider).standing(entry) === 'shut';
    }

    tidy(): Promise<void> {
        return this.services.health.sync();
    }
}

class PackageCourse implements Course {
    private readonly delivery: SenderDelivery;

    constructor(
        private readonly services: Services,
        { id, sender, recipient, provider }: Message
    ) {
        this.delivery = { id, seq: '001', from: sender, recipient, domain: provider.domain, sendingZone: ZONE } as unknown as SenderDelivery;
    }

    async depart(): Promise<Departure> {
        const { services, delivery } = this;
        try {
            await routeDelivery(services, delivery);
        } catch (err) {
            if (!(err instanceof ConnectFailure)) {
                throw err;
            }
            return this.next(err as unknown as SenderDeliveryError, { code: 0, text: err.message, stage: 'none' });
        }
        return { kind: 'from', address: services.flights.get(delivery)?.address ?? '' };
    }

    refused(address: string, reply: Reply): Promise<Next> {
        // an Error in all but its stack, which takes longer than all the rest
        const err = { message: reply.text, response: reply.text, responseCode: reply.code, netConnected: true } as unknown as SenderDeliveryError;
        return this.next(err, reply, address);
    }

    async accepted(address: string): Promise<void> {
        Object.assign(this.delivery, { status: { delivered: true, ip: address } });
        await leavePace(this.services, APP, this.delivery);
        await handleDelivered(this.services, this.delivery, '250 2.0.0 OK');
    }

    /** What lib/sender.js and lib/mail-queue.js of ZoneMTA make of what the hook has written. */
    private async next(err: SenderDeliveryError, reply: Reply, address?: string): Promise<Next> {
        const { services, delivery } = this;
        const connection = address === undefined ? false : ({ options: { localAddress: address, servername: delivery.domain } } as never);
        await leavePace(services, APP, delivery, err);
        await handleRefusal(services, APP, delivery, connection, err);
        const { $inc, sendingZone, ...states } = (delivery.updates ?? {}) as { $inc?: Record<string, number>; sendingZone?: string };
        const times = (delivery['deferTimes'] ?? services.schedule) as readonly number[];
        const count = delivery._deferred?.count ?? 0;
        const delay = times[count];
        const action = (err['action'] as string | undefined) ?? (reply.code >= 500 ? 'reject' : 'defer');
        delete delivery.updates;
        delete delivery['deferTimes'];
        if (action === 'reject' || delay === undefined) {
            return { kind: 'bounce' };
        }
        Object.assign(delivery, states, { _deferred: { count: count + 1 + ($inc?.['_deferred.count'] ?? 0) } });
        return sendingZone === RELAY ? { kind: 'relay', delay } : { kind: 'again', delay };
    }
}

// a million deliveries, and nobody reads of them
class Silence extends EventLog {
    override event(): void {}
}

class Oblivion extends History {
    override async write(): Promise<void> {}
}

const APP = { getQueue: () => false, loggelf: () => undefined } as unknown as PluginApp;

/** As lib/process/services.ts puts them together, without Redis, MongoDB and DNS. */
function servicesOf(surroundings: Surroundings, memory: Memory): Services {
    const { pool, now, random } = surroundings;
    const host = { zones: { [ZONE]: { pool: 'all' }, [RELAY]: { host: 'relay.example', auth: {}, port: 587 } }, pools: { all: pool.map(({ address }) => ({ address })) } };
    const { settings, faults } = parseSettings(PLUGINS, host);
    if (!settings) {
        throw new Error(faults.map(fault => fault.message).join('; '));
    }
    const reputation = settings.reputation as ReputationSettings;
    const table = new SuspensionTable();
    const fail = (err: Error) => {
        throw err;
    };
    const log = new Silence(APP, now);
    const health = memory.health({ table, own: new MemoryHealth(table, reputation), shared: undefined, now, mark: () => '', warn: fail }, surroundings);
    const providers = loadProviders([`${packageRoot()}/config/providers.toml`]);
    const rules = loadRules([packageRulesDir()]);
    const known = new Map<string, ReturnType<typeof classify>>();
    return {
        settings,
        host,
        log,
        history: new Oblivion({ collection: () => undefined } as unknown as Db, 0, now, fail),
        bulletins: new Bulletins(undefined, '', '', () => ({}), now, fail),
        scanning: undefined,
        switches: new Switches(undefined, '', fail),
        budget: new MemoryBudget(reputation.rerouteBudget, now),
        health,
        pace: new PoolPace(undefined, new MemoryPace(1), now, fail),
        paceOf: memory.paced ? providers.paceOf : () => ({}),
        waiting: new WaitingCounter(log),
        bursts: new Bursts(1),
        reachability: new Reachability(),
        destinations: new Destinations(resolver(), providers.patterns, now),
        evidence: new Evidence({ resolver: silent, health, log, now }),
        checks: undefined,
        // a reply has one class, however often it comes
        classify: (reply, provider) => {
            const key = `${provider} ${reply.stage} ${reply.text}`;
            const found = known.get(key) ?? classify(rules, reply, provider);
            known.set(key, found);
            return found;
        },
        pool: () => pool,
        schedule: deferTimes(host),
        flights: new WeakMap(),
        now,
        random
    };
}

/** Of our own addresses DNS says nothing. */
const silent = { a: async () => [], aaaa: async () => [], ptr: async () => [] };

/** One MX a provider, named as the real one, so that the table of providers knows it. */
function resolver() {
    const models = new Map(PROVIDERS.flatMap(model => [[model.domain, model] as const, [model.mx.toLowerCase(), model] as const]));
    return {
        mx: async (domain: string) => [models.get(domain)].flatMap(model => (model ? [{ exchange: model.mx, priority: 10 }] : [])),
        timedMx: async () => undefined,
        a: async () => [{ address: '192.0.2.25', ttl: 300 }],
        aaaa: async (name: string) => (models.get(name)?.ipv6 === 'none' ? [] : [{ address: '2001:db8:25::25', ttl: 300 }])
    };
}
