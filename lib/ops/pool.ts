/** Routes about the pool: how each address stands at the providers, what is suspended, and the operator's own suspensions. */
import * as v from 'valibot';
import { oneLine } from '../delivery/state';
import type { PaceState } from '../health/pace';
import { EVERYWHERE, isRunning, scopesOf, type Place, type Suspension } from '../health/suspension';
import type { ProviderPace } from '../providers/patterns';
import { duration } from '../settings/units';
import { addRoute, type PluginApp, type Route } from '../zonemta/app';
import { badRequest, closed, failure, MAX_NOTE, PREFIX, providerName, type Answer } from './answers';

/** What the routes need of the process. */
export interface PoolOperations {
    /** Zones that take part, with their addresses as they are configured. */
    zones(): ReadonlyMap<string, readonly Place[]>;
    /** All that is suspended or half-open. */
    list(): Suspension[];
    /** The pace of providers that got mail a short while ago, or whose pace is lowered. */
    paces(): Promise<PaceState[]>;
    /** Configured pace of a provider. */
    paceOf: (provider: string) => ProviderPace;
    /** Our own checks that an address fails, and whether one of them keeps it out of the draw. */
    failing(address: string): { check: string; detail: string; leftOut: boolean }[];
    /** A scope as it is kept, or undefined when it is none: no address, or a range that `subnets4` and `subnets6` do not have. */
    scopeOf(text: string): string | undefined;
    /** @throws Error when Redis does not take it */
    put(suspension: Suspension): Promise<void>;
    /** @throws Error when Redis does not take it */
    lift(provider: string, scope: string): Promise<void>;
    /** Begins a round of our own checks, if none is under way. */
    check(): void;
    now(): number;
}

const STATES = ['healthy', 'half-open', 'suspended', 'left-out'] as const;
type State = (typeof STATES)[number];

const EXPECTED = '{"provider": KEY, "scope": ADDRESS | RANGE | "ipv4" | "ipv6" | "provider", "for": DURATION, "note"?: TEXT}';

const SuspensionBody = v.strictObject({
    provider: providerName,
    scope: v.string(),
    for: duration('1m', '30d'),
    note: v.optional(v.string(), '')
});

/** @param guarded asks for the token */
export function registerPoolRoutes(app: PluginApp, guarded: (route: Route) => Route, open: () => PoolOperations | undefined): void {
    const add = (method: 'get' | 'post' | 'del', path: string, answer: (pool: PoolOperations, request: Parameters<Route>[0]) => Promise<Answer> | Answer) =>
        addRoute(
            app,
            method,
            `${PREFIX}${path}`,
            guarded(async request => {
                const pool = open();
                return pool ? answer(pool, request) : closed();
            })
        );
    add('get', '/addresses', (pool, { query }) => showAddresses(pool, query));
    add('post', '/checks', pool => (pool.check(), { code: 202, body: { running: true } }));
    add('get', '/providers', async pool => ({ code: 200, body: { providers: await providersOf(pool) } }));
    add('get', '/suspensions', pool => ({ code: 200, body: { suspensions: pool.list().map(suspension => shown(suspension, pool.now())) } }));
    add('post', '/suspensions', (pool, { body }) => suspend(pool, body));
    add('del', '/suspensions/:id', (pool, { params }) => resume(pool, params['id']));
}

function showAddresses(pool: PoolOperations, { zone, provider, state }: Record<string, unknown>): Answer {
    if (state !== undefined && !STATES.some(known => known === state)) {
        return failure(400, 'BAD_REQUEST', `state: expected one of ${STATES.join(', ')}`);
    }
    const now = pool.now();
    const asked = pool.list().filter(suspension => provider === undefined || suspension.provider === provider || suspension.provider === EVERYWHERE);
    const byScope = grouped(asked, ({ scope }) => scope);
    const addresses = [...pool.zones()]
        .filter(([name]) => zone === undefined || name === zone)
        .flatMap(([name, places]) =>
            places.map(place => {
                const found = scopesOf(place).flatMap(scope => byScope.get(scope) ?? []);
                const checks = pool.failing(place.address);
                const state: State = checks.some(({ leftOut }) => leftOut) ? 'left-out' : worst(found, now);
                return { zone: name, address: place.address, state, checks, suspensions: found.map(suspension => shown(suspension, now)) };
            })
        );
    return { code: 200, body: { addresses: addresses.filter(address => state === undefined || address.state === state) } };
}

async function providersOf(pool: PoolOperations) {
    const now = pool.now();
    const paces = new Map((await pool.paces()).map(state => [state.provider, state]));
    const suspensions = grouped(pool.list(), ({ provider }) => provider);
    return [...new Set([...suspensions.keys(), ...paces.keys()])].map(provider => {
        const found = suspensions.get(provider) ?? [];
        const { address = null, pool: whole = null, perConnection = null, source = '' } = pool.paceOf(provider);
        const { share = 1, used = 0, line = 0 } = paces.get(provider) ?? {};
        return {
            provider,
            suspended: found.filter(suspension => isRunning(suspension, now)).length,
            halfOpen: found.filter(suspension => !isRunning(suspension, now)).length,
            /** The provider refuses us as a whole. */
            whole: found.some(({ scope }) => scope === 'provider'),
            pace: { address, pool: whole, perConnection, source, share: Number(share.toFixed(3)), lastMinute: used, line: Math.round(line) }
        };
    });
}

async function suspend(pool: PoolOperations, body: unknown): Promise<Answer> {
    const parsed = v.safeParse(SuspensionBody, body);
    if (!parsed.success) {
        return badRequest(parsed.issues[0], EXPECTED);
    }
    const { provider, for: ms, note } = parsed.output;
    const scope = pool.scopeOf(parsed.output.scope);
    if (scope === undefined) {
        return failure(400, 'BAD_REQUEST', `scope: no address, and no range of subnets4 or subnets6; expected ${EXPECTED}`);
    }
    const now = pool.now();
    const suspension: Suspension = { provider, scope, class: 'operator', code: 0, strikes: 0, struck: now, until: now + ms, probing: 0, note: oneLine(note, MAX_NOTE) };
    try {
        await pool.put(suspension);
    } catch {
        return failure(503, 'REDIS_AWAY', 'nothing was suspended: Redis does not answer');
    }
    return { code: 200, body: shown(suspension, now) };
}

async function resume(pool: PoolOperations, id: unknown): Promise<Answer> {
    const found = pool.list().find(suspension => idOf(suspension) === id);
    if (!found) {
        return failure(404, 'NOT_FOUND', 'there is no suspension with this id; it may be over');
    }
    try {
        await pool.lift(found.provider, found.scope);
    } catch {
        return failure(503, 'REDIS_AWAY', 'the suspension goes on: Redis does not answer');
    }
    return { code: 200, body: shown(found, pool.now()) };
}

/** The same for as long as the suspension lasts, and in all processes. */
function idOf({ provider, scope }: Suspension): string {
    return Buffer.from(`${provider} ${scope}`).toString('base64url');
}

function shown(suspension: Suspension, now: number) {
    const { provider, scope, class: reason, code, strikes, struck, until, note } = suspension;
    return { id: idOf(suspension), provider, scope, state: worst([suspension], now), class: reason, code, strikes, struck, until, note };
}

function worst(found: readonly Suspension[], now: number): State {
    return found.length === 0 ? 'healthy' : found.some(suspension => isRunning(suspension, now)) ? 'suspended' : 'half-open';
}

function grouped(suspensions: readonly Suspension[], key: (suspension: Suspension) => string): Map<string, Suspension[]> {
    const groups = new Map<string, Suspension[]>();
    for (const suspension of suspensions) {
        const group = groups.get(key(suspension));
        if (group) {
            group.push(suspension);
        } else {
            groups.set(key(suspension), [suspension]);
        }
    }
    return groups;
}
