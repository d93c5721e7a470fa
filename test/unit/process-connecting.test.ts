/** The connection of a delivery, on real sockets: when another address is tried at once or later, and when not. */
import type { Socket } from 'node:net';
import type { SenderConnectOptions, SenderDelivery, SenderDeliveryError } from '@zone-eu/types';
import * as v from 'valibot';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { freshState } from '../../lib/delivery/state';
import type { Attempt } from '../../lib/delivery/types';
import { MemoryHealth } from '../../lib/health/memory-health';
import { PoolHealth } from '../../lib/health/pool-health';
import { Reachability } from '../../lib/health/reachability';
import { SuspensionTable } from '../../lib/health/table';
import { buildPool } from '../../lib/pool/pool';
import { connectFromPool } from '../../lib/process/connecting';
import { handleRefusal } from '../../lib/process/refusal';
import type { Services } from '../../lib/process/services';
import { loadRules, packageRulesDir } from '../../lib/responses/load';
import { classify } from '../../lib/responses/match';
import { randomIpSchema } from '../../lib/settings/random-ip';
import { reputationSchema } from '../../lib/settings/reputation';
import { sharedSchema } from '../../lib/settings/shared';
import type { PluginApp } from '../../lib/zonemta/app';
import { stateOf } from '../../lib/zonemta/delivery';
import { claimLoopback, type Loopback } from '../bed/services/loopback';
import { answering, startScripted, type ScriptedServer } from './scripted-server';

const REFUSED = '554-mx.theirs.example\r\n554 Your access to this mail system has been rejected due to the sending MTA\'s poor reputation.\r\n';
const RULES = loadRules([packageRulesDir()]);

let loopback: Loopback;
let server: ScriptedServer;
/** Greeting by client address; undefined: the connection is reset. */
let greet: (client: string) => string | undefined;
let visitors: string[];
let budget: 'taken' | 'provider';
let full: boolean;
let switchedOn: boolean;
let written: { verdict?: string; reason?: string; attempt?: Attempt }[];
let services: Services;

beforeAll(async () => {
    loopback = await claimLoopback();
    server = await startScripted(loopback.host, socket => {
        const client = socket.remoteAddress ?? '';
        visitors.push(client);
        const greeting = greet(client);
        if (greeting === undefined) {
            socket.resetAndDestroy();
        } else {
            answering(greeting)(socket);
        }
    });
});
afterAll(async () => {
    await server.stop();
    await loopback.release();
});

const sockets: Socket[] = [];
afterEach(() => sockets.splice(0).forEach(socket => socket.destroy()));

const address = (n: number) => `127.${loopback.k}.16.${n}`;
const FIRST = () => address(1);

beforeEach(() => {
    visitors = [];
    written = [];
    budget = 'taken';
    full = false;
    switchedOn = true;
    greet = client => (client === FIRST() ? REFUSED : '220 mx.theirs.example\r\n');
    services = servicesWith({});
});

function servicesWith({ shadow = false, host, ...reputation }: { shadow?: boolean; host?: string; connectFailover?: boolean; attempts?: number }): Services {
    const settings = {
        shared: { ...v.parse(sharedSchema, { zones: ['default'] }), shadow },
        randomIp: v.parse(randomIpSchema, {}),
        reputation: v.parse(reputationSchema, reputation)
    };
    const pool = buildPool([1, 20, 40, 60, 80].map(n => ({ address: address(n), name: `out${n}.example` })), { ...settings.shared, weights: {} });
    const table = new SuspensionTable();
    const now = Date.now;
    const health = new PoolHealth({ table, own: new MemoryHealth(table, settings.reputation), shared: undefined, now, mark: () => '', warn: () => undefined });
    return {
        settings,
        host: { zones: { default: { pool: 'default', port: 25, ...(host === undefined ? {} : { host }) } } },
        log: { event: () => undefined, warn: () => undefined },
        history: { write: async ({ event }: { event: (typeof written)[number] }) => void written.push(event) },
        switches: { isOn: () => switchedOn },
        budget: { take: async () => budget },
        health,
        pace: { isFull: () => full, lower: async () => undefined },
        reachability: new Reachability(),
        classify: (reply: Parameters<Services['classify']>[0], provider: string) => classify(RULES, reply, provider),
        pool: () => pool,
        schedule: [300_000],
        flights: new WeakMap(),
        now,
        random: Math.random
    } as unknown as Services;
}

/** A connection from the first address. */
async function connect(fields: Record<string, unknown> = {}): Promise<{ delivery: SenderDelivery; options: SenderConnectOptions }> {
    const source = { address: FIRST(), name: 'out1.example' };
    const delivery = { id: 'a1', seq: '001', domain: 'theirs.example', sendingZone: 'default', zoneAddressIPv4: source, ...fields } as unknown as SenderDelivery;
    const hosts = [{ exchange: 'mx.theirs.example', priority: 0, A: [loopback.host], AAAA: [] }];
    services.flights.set(delivery, { startedAt: Date.now(), destination: { provider: 'theirs', hosts, reachable: { ipv4: true, ipv6: false } }, address: FIRST() });
    const options: SenderConnectOptions = { host: server.host, port: server.port, localAddress: FIRST(), localHostname: 'out1.example' };
    await connectFromPool(services, delivery, options);
    if (options.socket) {
        sockets.push(options.socket);
    }
    return { delivery, options };
}

const suspended = () => services.health.list().map(({ scope, class: reason }) => [scope, reason]);
const othersGotThrough = () => [20, 40, 60].forEach(n => services.reachability.reached('theirs', address(n), Date.now()));

describe('a greeting that refuses the address for its reputation', () => {
    it('is followed by another address at once; state, history and suspensions know of the first', async () => {
        const { delivery, options } = await connect();
        expect(visitors).toHaveLength(2);
        const [, second] = visitors;
        expect(options.socket?.localAddress).toBe(second);
        expect(options.localHostname).toBe(`out${second?.split('.').at(-1)}.example`);
        expect(delivery).toMatchObject({ zoneAddressIPv4: { address: second }, connectionKey: `${second}:theirs.example:${server.port}` });
        expect(stateOf(delivery)).toMatchObject({ reroutes: 1, attempts: [{ address: FIRST(), mx: 'mx.theirs.example', code: 554, class: 'ip-reputation' }] });
        expect(delivery.updates).toMatchObject({ smartRelay: { reroutes: 1 } });
        expect(written).toMatchObject([{ verdict: 'reroute', reason: 'ip-reputation, in the greeting', attempt: { address: FIRST() } }]);
        expect(suspended()).toEqual([[FIRST(), 'ip-reputation']]);
    });

    it('of the second address too is for ZoneMTA to report', async () => {
        greet = () => REFUSED;
        const { options, delivery } = await connect();
        expect(visitors).toHaveLength(2);
        expect(options.socket?.localAddress).toBe(visitors[1]);
        expect(services.flights.get(delivery)?.address).toBe(visitors[1]);
    });

    it('at the next MX host is tried from the second address, and that is all', async () => {
        const { delivery } = await connect();
        greet = () => REFUSED;
        await connectFromPool(services, delivery, { host: server.host, port: server.port, localAddress: FIRST() });
        expect(visitors).toHaveLength(3);
        expect(visitors[2]).toBe(visitors[1]);
    });

    it.each([
        ['rerouting is switched off', () => (switchedOn = false)],
        ['the budget is spent', () => (budget = 'provider')],
        ['the others have met their pace', () => (full = true)],
        ['no attempts are allowed', () => (services = servicesWith({ attempts: 0 }))],
        ['everything else is suspended', () => services.health.put({ provider: 'theirs', scope: 'ipv4', class: 'operator', code: 0, strikes: 0, struck: 0, until: Date.now() + 60_000, probing: 0, note: '' })]
    ])('is handed to ZoneMTA as it is when %s', async (_name, arrange) => {
        await arrange();
        const { options, delivery } = await connect();
        expect(visitors).toEqual([FIRST()]);
        expect(options.socket?.localAddress).toBe(FIRST());
        expect(stateOf(delivery)).toEqual(freshState('default'));
        expect(written).toEqual([]);
    });

    it('does not move a delivery that keeps its address for a greylist', async () => {
        const pin = { address: FIRST(), family: 'ipv4', mx: 'mx.theirs.example', tries: 1 };
        await connect({ smartRelay: { ...freshState('default'), pin } });
        expect(visitors).toEqual([FIRST()]);
    });
});

describe('a greeting that says something else', () => {
    it.each(['421 4.3.2 Too busy, try again later', '421 mx.theirs.example', '421 4.7.0 Error: too many connections from 192.0.2.1', '450 4.7.1 Greylisted, try again', 'SSH-2.0-OpenSSH_9.2'])(
        '%s: no other address',
        async greeting => {
            greet = () => `${greeting}\r\n`;
            const { options } = await connect();
            expect(visitors).toEqual([FIRST()]);
            expect(options.socket).toBeDefined();
            expect(suspended()).toEqual([]);
        }
    );
});

describe('a connection that is reset', () => {
    beforeEach(() => {
        greet = client => (client === FIRST() ? undefined : '220 mx.theirs.example\r\n');
    });

    it('while others get through: another address at once, and the first is suspended as one that cannot connect', async () => {
        othersGotThrough();
        const { options, delivery } = await connect();
        expect(options.socket?.localAddress).toBe(visitors[1]);
        expect(stateOf(delivery).attempts).toMatchObject([{ address: FIRST(), class: 'network', code: 0 }]);
        expect(suspended()).toEqual([[FIRST(), 'network']]);
    });

    it('for the second address too: nobody is suspended', async () => {
        othersGotThrough();
        greet = () => undefined;
        const { options } = await connect();
        expect(visitors).toHaveLength(2);
        expect(options.socket).toBeUndefined();
        expect(options['lookup']).toBeTypeOf('function');
        expect(suspended()).toEqual([]);
    });

    it('without such evidence: no other address', async () => {
        await connect();
        expect(visitors).toEqual([FIRST()]);
        expect(suspended()).toEqual([]);
    });
});

describe('a connection that ZoneMTA itself could not make', () => {
    const failure = (): SenderDeliveryError => Object.assign(new Error('connect ETIMEDOUT') as SenderDeliveryError, { category: 'network', netConnected: false, response: 'Network error: connect ETIMEDOUT' });
    let forgotten: string[];

    async function fail(err: SenderDeliveryError): Promise<SenderDelivery> {
        services.settings.reputation = { ...v.parse(reputationSchema, {}), connectFailover: false };
        const { delivery } = await connect({ mx: [{ exchange: 'mx.theirs.example', priority: 0, A: [], AAAA: [] }], mxPort: 25 });
        forgotten = [];
        const app = { getQueue: () => ({ sendCommand: ({ key }: { key: string }) => forgotten.push(key) }) } as unknown as PluginApp;
        await handleRefusal(services, app, delivery, undefined, err);
        return delivery;
    }

    it('while others get through: another address, and the MX host is not given up for two minutes', async () => {
        othersGotThrough();
        const delivery = await fail(failure());
        expect(delivery.updates).toMatchObject({ $inc: { '_deferred.count': 0 }, smartRelay: { reroutes: 1, attempts: [{ address: FIRST(), class: 'network' }] } });
        expect(forgotten).toEqual(['default:domain:mx.theirs.example', 'default:domain:mx.theirs.example:25']);
        expect(suspended()).toEqual([[FIRST(), 'network']]);
    });

    it('without such evidence, by DNS, or repeated from a cache is ZoneMTA\'s', async () => {
        const dns = Object.assign(failure(), { category: 'dns' });
        const repeated = failure();
        delete repeated.netConnected;
        for (const [err, arrange] of [[failure(), () => undefined], [dns, othersGotThrough], [repeated, othersGotThrough]] as const) {
            arrange();
            expect((await fail(err)).updates?.['$inc']).toBeUndefined();
            expect(forgotten).toEqual([]);
        }
        expect(suspended()).toEqual([]);
    });
});

describe('a connection that is ZoneMTA\'s to open', () => {
    it.each([
        ['in shadow', () => servicesWith({ shadow: true })],
        ['without connectFailover', () => servicesWith({ connectFailover: false })],
        ['to a fixed host', () => servicesWith({ host: 'smarthost.example' })]
    ])('%s', async (_name, make) => {
        services = make();
        const { options } = await connect();
        expect(visitors).toEqual([]);
        expect(options).toEqual({ host: server.host, port: server.port, localAddress: FIRST(), localHostname: 'out1.example' });
    });

    it('at the relay, with TLS from the first byte, and in a zone that is not ours', async () => {
        await connect({ smartRelay: { ...freshState('default'), phase: 'relay' } });
        await connect({ mxSecure: true });
        await connect({ sendingZone: 'other' });
        expect(visitors).toEqual([]);
    });
});
