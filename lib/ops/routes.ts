/** The operator's HTTP API on ZoneMTA's API server, under /plugin/smart-relay. JSON; errors as {"error", "code"}; a bearer token if one is set. */
import { timingSafeEqual } from 'node:crypto';
import * as v from 'valibot';
import { oneLine } from '../delivery/state';
import { SWITCHES, type Switches } from '../health/switches';
import type { History } from '../history/history';
import { unknownReplies } from './unknown';
import { addRoute, type PluginApp, type Route } from '../zonemta/app';
import { badRequest, closed, failure, MAX_NOTE, PREFIX, providerName } from './answers';
import { registerPoolRoutes, type PoolOperations } from './pool';

/** What the routes show. While the gate is closed there is only `status`. */
export interface Operations {
    token(): string;
    status(): Promise<Record<string, unknown>>;
    open(): { switches: Switches; history: History; thrown(fields: Record<string, string>): void; pool: PoolOperations } | undefined;
}

const SwitchBody = v.strictObject({
    name: v.picklist(SWITCHES),
    provider: v.optional(providerName),
    on: v.boolean(),
    note: v.optional(v.string(), '')
});

export function registerRoutes(app: PluginApp, operations: Operations): void {
    const guarded = (route: Route): Route => async request => {
        const token = operations.token();
        if (token && !sameText(request.header('authorization') ?? '', `Bearer ${token}`)) {
            return failure(401, 'UNAUTHORIZED', 'a bearer token is needed');
        }
        return route(request);
    };

    addRoute(app, 'get', `${PREFIX}/status`, guarded(async () => ({ code: 200, body: await operations.status() })));

    addRoute(
        app,
        'get',
        `${PREFIX}/messages/:id`,
        guarded(async ({ params }) => {
            const open = operations.open();
            if (!open) {
                return closed();
            }
            const id = typeof params['id'] === 'string' && /^[\w-]{1,64}$/.test(params['id']) ? params['id'] : '';
            const events = id ? await open.history.read(id) : [];
            return events.length > 0
                ? { code: 200, body: { id, events: events.map(({ id: _id, event, ...rest }) => ({ ...rest, ...event })) } }
                : failure(404, 'NOT_FOUND', 'nothing is known of a message with this id; its history may have expired');
        })
    );

    addRoute(
        app,
        'get',
        `${PREFIX}/unknown`,
        guarded(async () => {
            const open = operations.open();
            return open ? { code: 200, body: { replies: unknownReplies(await open.history.readUnknown()) } } : closed();
        })
    );

    addRoute(
        app,
        'post',
        `${PREFIX}/switches`,
        guarded(async ({ body }) => {
            const open = operations.open();
            if (!open) {
                return closed();
            }
            const parsed = v.safeParse(SwitchBody, body);
            if (!parsed.success) {
                return badRequest(parsed.issues[0], '{"name": "reroute" | "relay", "provider"?: KEY, "on": true | false, "note"?: TEXT}');
            }
            const { name, provider, on, note } = parsed.output;
            try {
                await open.switches.set(name, provider, on, oneLine(note, MAX_NOTE));
            } catch {
                return failure(503, 'REDIS_AWAY', 'the switch was not thrown: Redis does not answer');
            }
            open.thrown({ name, provider: provider ?? 'all', on: String(on), note: oneLine(note, MAX_NOTE) });
            return { code: 200, body: { off: open.switches.list() } };
        })
    );

    registerPoolRoutes(app, guarded, () => operations.open()?.pool);
}

function sameText(given: string, wanted: string): boolean {
    const [a, b] = [Buffer.from(given), Buffer.from(wanted)];
    return a.length === b.length && timingSafeEqual(a, b);
}
