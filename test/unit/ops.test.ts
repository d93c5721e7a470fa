/** The operator's HTTP API: who may ask, and what is answered. */
import { describe, expect, it } from 'vitest';
import { Switches } from '../../lib/health/switches';
import type { History, HistoryRecord } from '../../lib/history/history';
import type { Suspension } from '../../lib/health/suspension';
import type { PoolOperations } from '../../lib/ops/pool';
import { registerRoutes, type Operations } from '../../lib/ops/routes';
import { buildPool, scopeNamed } from '../../lib/pool/pool';
import type { HostRequest, PluginApp } from '../../lib/zonemta/app';

const RECORDS = [
    { id: '19b0c8d7e2f000a1b2', seq: '', at: 1, recipient: 'reader@theirs.example', sender: 'author@ours.example', event: { kind: 'scan', result: 'accept', action: 'no action', score: 0, server: 'http://127.0.0.1:11333', ms: 5 } },
    { id: '19b0c8d7e2f000a1b2', seq: '001', at: 2, recipient: 'reader@theirs.example', sender: 'author@ours.example', event: { kind: 'relayed', zone: 'relay', until: 9 } }
] as unknown as HistoryRecord[];

const NOW = 1_000_000;
const RANGES = { subnets4: [28, 24], subnets6: [64, 48], weights: {} };

type Handler = (request: HostRequest, response: { json(code: number, body: unknown): void }) => Promise<void>;

function api({ token = '', closed = false, redisAway = false } = {}) {
    const routes = new Map<string, Handler>();
    const route = (method: string) => (path: string, handler: Handler) => routes.set(`${method} ${path}`, handler);
    const logged: string[] = [];
    const app = { manager: { apiServer: { server: { get: route('get'), post: route('post'), del: route('del') } } }, logger: { error: (...args: unknown[]) => logged.push(args.join(' ')) } };
    const switches = new Switches(undefined, 'zsr:', () => undefined);
    if (redisAway) {
        switches.set = () => Promise.reject(new Error('Connection is closed.'));
    }
    const asked: string[] = [];
    const history = { read: async (id: string) => (asked.push(id), RECORDS.filter(record => record.id === id)) } as unknown as History;
    const thrown: Record<string, string>[] = [];
    const suspensions: Suspension[] = [
        { provider: 'google', scope: '192.0.2.0/28', class: 'ip-reputation', code: 550, strikes: 2, struck: 1, until: NOW + 1, probing: 0, note: 'listed' },
        { provider: 'yahoo', scope: '198.51.100.1', class: 'ip-rate', code: 421, strikes: 1, struck: 1, until: NOW - 1, probing: 0, note: 'slow' }
    ];
    const failing: { check: string; detail: string; leftOut: boolean }[] = [];
    const rounds: number[] = [];
    const pool: PoolOperations = {
        zones: () => new Map([['default', buildPool(['192.0.2.1', '198.51.100.1', '203.0.113.1'].map(address => ({ address })), RANGES)]]),
        list: () => suspensions,
        paces: async () => [
            { provider: 'google', share: 0.5123, used: 7, line: 12_000.4 },
            { provider: 'unlisted.example', share: 1, used: 1, line: 0 }
        ],
        paceOf: provider => (provider === 'unlisted.example' ? {} : { pool: { messages: 30 }, perConnection: 20, source: 'page' }),
        failing: address => (address === '203.0.113.1' ? failing : []),
        check: () => void rounds.push(NOW),
        scopeOf: text => scopeNamed(text, RANGES),
        put: async suspension => (redisAway ? Promise.reject(new Error('away')) : void suspensions.push(suspension)),
        lift: async (provider, scope) => (redisAway ? Promise.reject(new Error('away')) : void suspensions.splice(suspensions.findIndex(known => known.provider === provider && known.scope === scope), 1)),
        now: () => NOW
    };
    const operations: Operations = {
        token: () => token,
        status: async () => ({ gate: closed ? 'closed' : 'open' }),
        open: () => (closed ? undefined : { switches, history, thrown: fields => thrown.push(fields), pool })
    };
    registerRoutes(app as unknown as PluginApp, operations);

    async function call(name: string, { params = {}, query = {}, body, authorization }: { params?: Record<string, unknown>; query?: Record<string, unknown>; body?: unknown; authorization?: string } = {}) {
        const answers: [number, unknown][] = [];
        const request: HostRequest = { params, query, body, header: field => (field.toLowerCase() === 'authorization' ? authorization : undefined) };
        await routes.get(name)?.(request, { json: (code, answer) => answers.push([code, answer]) });
        expect(answers).toHaveLength(1);
        expect(logged).toEqual([]);
        return answers[0];
    }
    return { call, switches, thrown, asked, routes, suspensions, failing, rounds };
}

const STATUS = 'get /plugin/smart-relay/status';
const MESSAGES = 'get /plugin/smart-relay/messages/:id';
const UNKNOWN = 'get /plugin/smart-relay/unknown';
const SWITCHES = 'post /plugin/smart-relay/switches';
const ADDRESSES = 'get /plugin/smart-relay/addresses';
const PROVIDERS = 'get /plugin/smart-relay/providers';
const CHECKS = 'post /plugin/smart-relay/checks';
const SUSPENSIONS = 'get /plugin/smart-relay/suspensions';
const SUSPEND = 'post /plugin/smart-relay/suspensions';
const RESUME = 'del /plugin/smart-relay/suspensions/:id';

describe('the API', () => {
    it('is there under /plugin/smart-relay', () => {
        expect([...api().routes.keys()]).toEqual([STATUS, MESSAGES, UNKNOWN, SWITCHES, ADDRESSES, CHECKS, PROVIDERS, SUSPENSIONS, SUSPEND, RESUME]);
    });

    it.each([STATUS, MESSAGES, SWITCHES, ADDRESSES, CHECKS, PROVIDERS, SUSPENSIONS, SUSPEND, RESUME])('with a token answers nobody without it: %s', async name => {
        const { call, switches } = api({ token: 'a-token' });
        for (const authorization of [undefined, '', 'a-token', 'Bearer', 'Bearer another', 'Bearer a-tokeN', 'bearer a-token', 'Bearer a-token ']) {
            const answer = await call(name, { ...(authorization === undefined ? {} : { authorization }), body: { name: 'reroute', on: false } });
            expect(answer).toEqual([401, { error: 'a bearer token is needed', code: 'UNAUTHORIZED' }]);
        }
        expect(switches.list()).toEqual([]);
    });

    it('answers with the token, and without one when none is set', async () => {
        expect(await api({ token: 'a-token' }).call(STATUS, { authorization: 'Bearer a-token' })).toEqual([200, { gate: 'open' }]);
        expect(await api().call(STATUS)).toEqual([200, { gate: 'open' }]);
    });

    it('with a closed gate shows its status and nothing else', async () => {
        const { call } = api({ closed: true });
        expect(await call(STATUS)).toEqual([200, { gate: 'closed' }]);
        for (const name of [MESSAGES, SWITCHES, ADDRESSES, CHECKS, PROVIDERS, SUSPENSIONS, SUSPEND, RESUME]) {
            expect(await call(name, { params: { id: '19b0c8d7e2f000a1b2' }, body: { name: 'reroute', on: false } })).toMatchObject([503, { code: 'GATE_CLOSED' }]);
        }
    });
});

describe('the trail of a message', () => {
    it('has its events in the order of time', async () => {
        expect(await api().call(MESSAGES, { params: { id: '19b0c8d7e2f000a1b2' } })).toEqual([
            200,
            {
                id: '19b0c8d7e2f000a1b2',
                events: [
                    expect.objectContaining({ seq: '', at: 1, kind: 'scan', result: 'accept' }),
                    { seq: '001', at: 2, recipient: 'reader@theirs.example', sender: 'author@ours.example', kind: 'relayed', zone: 'relay', until: 9 }
                ]
            }
        ]);
    });

    it('that is not known is a 404', async () => {
        expect(await api().call(MESSAGES, { params: { id: '19b0c8d7e2f0ffffff' } })).toMatchObject([404, { code: 'NOT_FOUND' }]);
    });

    it.each([undefined, '', '$ne', { $ne: '' }, 'a/b', 'x'.repeat(65)])('is not looked for by what is no id: %j', async id => {
        const { call, asked } = api();
        expect(await call(MESSAGES, { params: { id } })).toMatchObject([404, { code: 'NOT_FOUND' }]);
        expect(asked).toEqual([]);
    });
});

describe('a switch', () => {
    it('is thrown, shown, and written to the log', async () => {
        const { call, switches, thrown } = api();
        expect(await call(SWITCHES, { body: { name: 'reroute', provider: 'google', on: false, note: 'complaints\r\nfrom 3 users' } })).toEqual([
            200,
            { off: [{ name: 'reroute', provider: 'google', note: 'complaints from 3 users' }] }
        ]);
        expect(switches.isOn('reroute', 'google')).toBe(false);
        expect(await call(SWITCHES, { body: { name: 'reroute', provider: 'google', on: true } })).toEqual([200, { off: [] }]);
        expect(thrown).toEqual([
            { name: 'reroute', provider: 'google', on: 'false', note: 'complaints from 3 users' },
            { name: 'reroute', provider: 'google', on: 'true', note: '' }
        ]);
    });

    it('takes a provider of a gateway with many customers', async () => {
        const { call, switches } = api();
        await call(SWITCHES, { body: { name: 'relay', provider: 'proofpoint:customer.example', on: false } });
        expect(switches.isOn('relay', 'proofpoint:customer.example')).toBe(false);
    });

    it.each([
        ['nothing', undefined],
        ['a text', 'off'],
        ['a list', []],
        ['no name', { on: false }],
        ['a switch that there is not', { name: 'scanning', on: false }],
        ['no state', { name: 'relay' }],
        ['a state that is a text', { name: 'relay', on: 'false' }],
        ['a provider that is none', { name: 'relay', on: false, provider: '*' }],
        ['something more', { name: 'relay', on: false, until: 'tomorrow' }]
    ])('is not thrown by %s', async (_name, body) => {
        const { call, switches, thrown } = api();
        const answer = await call(SWITCHES, { body });
        expect(answer).toMatchObject([400, { code: 'BAD_REQUEST', error: expect.stringContaining('expected {"name": "reroute" | "relay"') as unknown }]);
        expect([switches.list(), thrown]).toEqual([[], []]);
    });

    it('that Redis does not take is not thrown, and the operator is told', async () => {
        const { call, thrown } = api({ redisAway: true });
        expect(await call(SWITCHES, { body: { name: 'relay', on: false } })).toMatchObject([503, { code: 'REDIS_AWAY' }]);
        expect(thrown).toEqual([]);
    });
});

describe('the pool', () => {
    interface Shown {
        id: string;
        provider: string;
        scope: string;
        state: string;
    }
    const states = (answer: unknown) => (answer as [number, { addresses: { address: string; state: string }[] }])[1].addresses.map(({ address, state }) => `${address} ${state}`);
    const shown = async (call: ReturnType<typeof api>['call']) => ((await call(SUSPENSIONS)) as [number, { suspensions: Shown[] }])[1].suspensions;

    it('shows how each address stands, everywhere and at one provider', async () => {
        const { call } = api();
        expect(states(await call(ADDRESSES))).toEqual(['192.0.2.1 suspended', '198.51.100.1 half-open', '203.0.113.1 healthy']);
        expect(states(await call(ADDRESSES, { query: { provider: 'yahoo' } }))).toEqual(['192.0.2.1 healthy', '198.51.100.1 half-open', '203.0.113.1 healthy']);
        expect(states(await call(ADDRESSES, { query: { state: 'suspended', zone: 'default' } }))).toEqual(['192.0.2.1 suspended']);
        expect(states(await call(ADDRESSES, { query: { zone: 'another' } }))).toEqual([]);
        expect(await call(ADDRESSES, { query: { state: 'ill' } })).toMatchObject([400, { code: 'BAD_REQUEST' }]);
    });

    it('shows what our own checks say of an address, and whether that leaves it out', async () => {
        const { call, failing } = api();
        failing.push({ check: 'ptr', detail: 'there is no PTR record', leftOut: false });
        expect(states(await call(ADDRESSES))).toContain('203.0.113.1 healthy');
        failing.push({ check: 'dnsbl', detail: 'listed at dnsbl.example (127.0.0.2)', leftOut: true });
        expect(states(await call(ADDRESSES, { query: { state: 'left-out' } }))).toEqual(['203.0.113.1 left-out']);
        expect(await call(ADDRESSES, { query: { state: 'left-out' } })).toMatchObject([200, { addresses: [{ checks: failing }] }]);
    });

    it('has what holds everywhere in the view of each provider', async () => {
        const { call, suspensions } = api();
        suspensions.push({ provider: '*', scope: '203.0.113.1', class: 'check', code: 0, strikes: 0, struck: 1, until: NOW + 1, probing: 0, note: 'listed' });
        expect(states(await call(ADDRESSES, { query: { provider: 'yahoo' } }))).toContain('203.0.113.1 suspended');
        const everywhere = (await shown(call)).find(({ provider }) => provider === '*');
        expect(await call(RESUME, { params: { id: everywhere?.id } })).toMatchObject([200, { provider: '*', scope: '203.0.113.1' }]);
    });

    it('is checked when the operator asks', async () => {
        const { call, rounds } = api();
        expect(await call(CHECKS)).toEqual([202, { running: true }]);
        expect(rounds).toEqual([NOW]);
    });

    it('shows the providers where something is suspended', async () => {
        expect(await api().call(PROVIDERS)).toEqual([
            200,
            {
                providers: [
                    { provider: 'google', suspended: 1, halfOpen: 0, whole: false, pace: { address: null, pool: { messages: 30 }, perConnection: 20, source: 'page', share: 0.512, lastMinute: 7, line: 12_000 } },
                    { provider: 'yahoo', suspended: 0, halfOpen: 1, whole: false, pace: { address: null, pool: { messages: 30 }, perConnection: 20, source: 'page', share: 1, lastMinute: 0, line: 0 } },
                    { provider: 'unlisted.example', suspended: 0, halfOpen: 0, whole: false, pace: { address: null, pool: null, perConnection: null, source: '', share: 1, lastMinute: 1, line: 0 } }
                ]
            }
        ]);
    });

    it('is suspended in part by the operator, for a time', async () => {
        const { call, suspensions } = api();
        expect(await call(SUSPEND, { body: { provider: 'google', scope: '2001:DB8:0:7::1/64', for: '2h', note: 'moved\r\naway' } })).toMatchObject([
            200,
            { provider: 'google', scope: '2001:db8:0:7::/64', state: 'suspended', class: 'operator', until: NOW + 7_200_000, note: 'moved away' }
        ]);
        expect(suspensions).toHaveLength(3);
    });

    it.each([
        ['nothing', undefined],
        ['no provider', { scope: '192.0.2.1', for: '2h' }],
        ['no address', { provider: 'google', scope: 'out1.example', for: '2h' }],
        ['a range that is not on the ladder', { provider: 'google', scope: '192.0.2.0/25', for: '2h' }],
        ['no time', { provider: 'google', scope: '192.0.2.1' }],
        ['a time without a unit', { provider: 'google', scope: '192.0.2.1', for: 7200 }],
        ['for ever', { provider: 'google', scope: '192.0.2.1', for: '365d' }]
    ])('is not suspended by %s', async (_name, body) => {
        const { call, suspensions } = api();
        expect(await call(SUSPEND, { body })).toMatchObject([400, { code: 'BAD_REQUEST', error: expect.stringContaining('"for": DURATION') as unknown }]);
        expect(suspensions).toHaveLength(2);
    });

    it('is released by the id of a suspension, an automatic one too', async () => {
        const { call } = api();
        const [first] = await shown(call);
        expect(await call(RESUME, { params: { id: first?.id } })).toMatchObject([200, { provider: 'google', scope: '192.0.2.0/28' }]);
        expect((await shown(call)).map(({ provider }) => provider)).toEqual(['yahoo']);
        for (const id of [first?.id, '', undefined, { $ne: '' }]) {
            expect(await call(RESUME, { params: { id } })).toMatchObject([404, { code: 'NOT_FOUND' }]);
        }
    });

    it('does not change while Redis is away, and the operator is told', async () => {
        const { call } = api({ redisAway: true });
        const [first] = await shown(call);
        expect(await call(RESUME, { params: { id: first?.id } })).toMatchObject([503, { code: 'REDIS_AWAY' }]);
        expect(await call(SUSPEND, { body: { provider: 'google', scope: '192.0.2.1', for: '2h' } })).toMatchObject([503, { code: 'REDIS_AWAY' }]);
    });
});
