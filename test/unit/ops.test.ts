/** The operator's HTTP API: who may ask, and what is answered. */
import { describe, expect, it } from 'vitest';
import { Switches } from '../../lib/health/switches';
import type { History, HistoryRecord } from '../../lib/history/history';
import { registerRoutes, type Operations } from '../../lib/ops/routes';
import type { HostRequest, PluginApp } from '../../lib/zonemta/app';

const RECORDS = [
    { id: '19b0c8d7e2f000a1b2', seq: '', at: 1, recipient: 'reader@theirs.example', sender: 'author@ours.example', event: { kind: 'scan', result: 'accept', action: 'no action', score: 0, server: 'http://127.0.0.1:11333', ms: 5 } },
    { id: '19b0c8d7e2f000a1b2', seq: '001', at: 2, recipient: 'reader@theirs.example', sender: 'author@ours.example', event: { kind: 'relayed', zone: 'relay', until: 9 } }
] as unknown as HistoryRecord[];

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
    const operations: Operations = {
        token: () => token,
        status: async () => ({ gate: closed ? 'closed' : 'open' }),
        open: () => (closed ? undefined : { switches, history, thrown: fields => thrown.push(fields) })
    };
    registerRoutes(app as unknown as PluginApp, operations);

    async function call(name: string, { params = {}, body, authorization }: { params?: Record<string, unknown>; body?: unknown; authorization?: string } = {}) {
        const answers: [number, unknown][] = [];
        const request: HostRequest = { params, query: {}, body, header: field => (field.toLowerCase() === 'authorization' ? authorization : undefined) };
        await routes.get(name)?.(request, { json: (code, answer) => answers.push([code, answer]) });
        expect(answers).toHaveLength(1);
        expect(logged).toEqual([]);
        return answers[0];
    }
    return { call, switches, thrown, asked, routes };
}

const STATUS = 'get /plugin/smart-relay/status';
const MESSAGES = 'get /plugin/smart-relay/messages/:id';
const UNKNOWN = 'get /plugin/smart-relay/unknown';
const SWITCHES = 'post /plugin/smart-relay/switches';

describe('the API', () => {
    it('is there under /plugin/smart-relay', () => {
        expect([...api().routes.keys()]).toEqual([STATUS, MESSAGES, UNKNOWN, SWITCHES]);
    });

    it.each([STATUS, MESSAGES, SWITCHES])('with a token answers nobody without it: %s', async name => {
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
        for (const name of [MESSAGES, SWITCHES]) {
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
