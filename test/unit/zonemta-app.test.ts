/** Our hooks and routes in ZoneMTA: a bug of ours is logged and changes nothing, an answer that we mean gets through. */
import { format } from 'node:util';
import { describe, expect, it, vi } from 'vitest';
import { addHook, addRoute, ConnectFailure, isIntended, Refusal, type HostRequest, type PluginApp, type Route } from '../../lib/zonemta/app';

/** ZoneMTA's plugin object, as far as hooks and routes need it. */
function fakeApp() {
    const hooks = new Map<string, (...args: unknown[]) => Promise<void>>();
    const routes = new Map<string, (request: HostRequest, response: object) => Promise<void>>();
    const logged: string[] = [];
    const api = (method: string) => (path: string, handler: (request: HostRequest, response: object) => Promise<void>) => routes.set(`${method} ${path}`, handler);
    const app = {
        addHook: (name: string, action: (...args: unknown[]) => Promise<void>) => hooks.set(name, action),
        logger: { error: (_prefix: string, ...args: unknown[]) => logged.push(format(...args)) },
        manager: { apiServer: { server: { get: api('get'), post: api('post'), del: api('del') } } }
    };
    return { app: app as unknown as PluginApp, hooks, routes, logged };
}

describe('a hook of ours', () => {
    const run = (hook: () => Promise<void>, subject: object = { id: '19b0', seq: '001' }) => {
        const { app, hooks, logged } = fakeApp();
        addHook(app, 'sender:fetch', hook);
        return { done: hooks.get('sender:fetch')?.(subject, () => undefined), logged };
    };

    it('with a bug does not stop ZoneMTA, and is logged with the id of the delivery', async () => {
        const { done, logged } = run(async () => {
            throw new TypeError('undefined is not a function');
        });
        await expect(done).resolves.toBeUndefined();
        expect(logged.join()).toMatch(/sender:fetch: .*19b0\.001.*TypeError: undefined is not a function/s);
    });

    it('that throws what is no error does not stop ZoneMTA either', async () => {
        const noErrors: unknown[] = ['text', null, undefined, 5];
        for (const thrown of noErrors as Error[]) {
            const { done, logged } = run(() => Promise.reject(thrown));
            await expect(done).resolves.toBeUndefined();
            expect(logged).toHaveLength(1);
        }
    });

    it.each([
        ['a refusal', new Refusal(451, '4.3.5 later')],
        ['a connection that could not be made', new ConnectFailure(new Error('no TLS'))],
        ['what app.reject has made', Object.assign(new Error('550 spam'), { name: 'SMTPReject' })],
        ['what app.drop has made', Object.assign(new Error('dropped'), { name: 'SMTPResponse' })]
    ])('gets %s through to ZoneMTA', async (_name, err) => {
        expect(isIntended(err)).toBe(true);
        const { done, logged } = run(() => Promise.reject(err));
        await expect(done).rejects.toBe(err);
        expect(logged).toEqual([]);
    });

    it("is called with its own arguments, without ZoneMTA's callback", async () => {
        const { app, hooks } = fakeApp();
        const hook = vi.fn(async () => undefined);
        addHook(app, 'sender:connection', hook);
        const [delivery, connection, callback] = [{ id: '1' }, { options: {} }, vi.fn()];
        await hooks.get('sender:connection')?.(delivery, connection, callback);
        expect(hook).toHaveBeenCalledExactlyOnceWith(delivery, connection);
        expect(callback).not.toHaveBeenCalled();
    });
});

describe('a refusal', () => {
    it('carries its code, and is not logged with a stack', () => {
        expect(new Refusal(451, '4.3.5 later')).toMatchObject({ responseCode: 451, message: '4.3.5 later' });
        expect(new Refusal(451, '').name).not.toMatch(/Error$/);
    });

    it('of a connection is a temporary network error', () => {
        expect(new ConnectFailure(new Error('no TLS'))).toMatchObject({ category: 'network', temporary: true, message: 'no TLS', response: 'Network error: no TLS' });
    });
});

describe('a route of ours', () => {
    async function answer(route: Route): Promise<{ json: unknown[]; logged: string[] }> {
        const { app, routes, logged } = fakeApp();
        addRoute(app, 'get', '/plugin/x', route);
        const json: unknown[] = [];
        await routes.get('get /plugin/x')?.({ params: {}, query: {}, header: () => undefined }, { json: (...args: unknown[]) => json.push(...args) });
        return { json, logged };
    }

    it('answers as JSON', async () => {
        expect((await answer(async () => ({ code: 404, body: { error: 'no' } }))).json).toEqual([404, { error: 'no' }]);
    });

    it('with a bug answers 500 without a word of it', async () => {
        const { json, logged } = await answer(() => Promise.reject(new Error('mongodb://us:secret@host')));
        expect(json).toEqual([500, { error: 'internal error, see the log', code: 'INTERNAL' }]);
        expect(logged.join()).toContain('secret');
    });

    it('is asynchronous with two arguments, as restify demands', () => {
        const { app, routes } = fakeApp();
        addRoute(app, 'post', '/plugin/x', async () => ({ code: 200, body: {} }));
        expect(routes.get('post /plugin/x')).toHaveLength(2);
        expect(routes.get('post /plugin/x')?.constructor.name).toBe('AsyncFunction');
    });
});
