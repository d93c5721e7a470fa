/**
 * Suspensions in Redis, shared by all processes and hosts: one hash for each provider, changed by Lua, every change announced
 * on one channel. All keys of a script share the provider's hash tag (Redis Cluster).
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as v from 'valibot';
import { packageRoot } from '../settings/package-root';
import type { SharedRedis } from './redis';
import {
    FORGOTTEN_AFTER,
    isForgotten,
    partsOfProvider,
    PROBE_TIME,
    SAME_EVENT,
    STRUCK_CLASSES,
    TURN_INTERVAL,
    WIDENING_WINDOW,
    type Change,
    type HealthLimits,
    type HealthStore,
    type Strike,
    type Success,
    type Suspension
} from './suspension';

/** What stands in Redis may be of another version, or written by hand: what has not this shape is not there. */
const Stored = v.object({
    provider: v.string(),
    scope: v.string(),
    class: v.picklist([...STRUCK_CLASSES, 'operator', 'check']),
    code: v.number(),
    strikes: v.number(),
    struck: v.number(),
    until: v.number(),
    probing: v.number(),
    note: v.string()
});
const Gone = v.strictObject({ provider: v.string(), scope: v.string() });

/** Marks spread over the nodes of a cluster: that one of three has none of them is a matter of one in a thousand. */
const MARKS = 16;

export class RedisHealth implements HealthStore {
    private readonly scripts = {
        strike: lua('strike-4'),
        succeed: lua('succeed-3'),
        claimProbe: lua('claimProbe-1'),
        merge: lua('mergeSuspensions-1')
    };

    /** @param redis a client that fails fast when Redis is away (lib/health/redis.ts) */
    constructor(
        private readonly redis: SharedRedis,
        private readonly keyPrefix: string,
        private readonly limits: HealthLimits
    ) {}

    /** Channel on which every change is announced: the suspension, or provider and scope of one that is over. */
    get channel(): string {
        return `${this.keyPrefix}health`;
    }

    async strike(strike: Strike): Promise<Change[]> {
        const { provider, class: reason, coolDownOf = reason, now } = strike;
        const { coolDown, rangeAfter } = this.limits;
        await this.list(provider, now + coolDown[coolDownOf].maximum + FORGOTTEN_AFTER);
        const keys = ['suspensions', 'strikes', 'parts', 'accepted'].map(name => this.key(provider, name));
        const changed = await this.redis.eval(
            this.scripts.strike,
            keys.length,
            ...keys,
            JSON.stringify(strike),
            JSON.stringify(coolDown[coolDownOf]),
            rangeAfter,
            partsOfProvider(rangeAfter),
            SAME_EVENT,
            WIDENING_WINDOW,
            FORGOTTEN_AFTER,
            this.channel
        );
        return (changed as string[]).flatMap(readChange);
    }

    async succeed(success: Success): Promise<Change[]> {
        const { provider } = success;
        const keys = ['suspensions', 'strikes', 'accepted'].map(name => this.key(provider, name));
        const cleared = await this.redis.eval(this.scripts.succeed, keys.length, ...keys, JSON.stringify(success), WIDENING_WINDOW, FORGOTTEN_AFTER, this.channel);
        return (cleared as string[]).map(scope => ({ provider, scope, suspension: null }));
    }

    async claimProbe(provider: string, scopes: readonly string[], now: number): Promise<Change[] | undefined> {
        const claimed = await this.redis.eval(this.scripts.claimProbe, 1, this.key(provider, 'suspensions'), now, now + PROBE_TIME, FORGOTTEN_AFTER, this.channel, ...scopes);
        const changes = (claimed as string[]).flatMap(readChange);
        return changes.length > 0 ? changes : undefined;
    }

    async takeTurn(provider: string, now: number): Promise<boolean> {
        return (await this.redis.set(this.key(provider, 'turn'), now, 'PX', TURN_INTERVAL, 'NX')) === 'OK';
    }

    async put(suspension: Suspension): Promise<Change[]> {
        const { provider, scope, struck } = suspension;
        const json = JSON.stringify(suspension);
        await all(this.redis.multi().hset(this.key(provider, 'suspensions'), scope, json).publish(this.channel, json));
        // it is there by now: this sees to the expiry and the list of providers
        await this.merge([suspension], struck);
        return [{ provider, scope, suspension }];
    }

    async lift(provider: string, scope: string): Promise<Change[]> {
        const change: Change = { provider, scope, suspension: null };
        await all(
            this.redis
                .multi()
                .hdel(this.key(provider, 'suspensions'), scope)
                .hdel(this.key(provider, 'strikes'), ...STRUCK_CLASSES.map(name => `${scope} ${name}`))
                .publish(this.channel, JSON.stringify({ provider, scope }))
        );
        return [change];
    }

    async snapshot(now: number): Promise<Suspension[]> {
        await this.redis.zremrangebyscore(this.providersKey, '-inf', now);
        const providers = await this.redis.zrange(this.providersKey, 0, -1);
        const hashes = await Promise.all(providers.map(provider => this.redis.hvals(this.key(provider, 'suspensions'))));
        return hashes.flat().flatMap(readChange).flatMap(({ suspension }) => (suspension && !isForgotten(suspension, now) ? [suspension] : []));
    }

    /** Gives back what this process knows; what Redis has of a later strike stays. */
    async merge(suspensions: readonly Suspension[], now: number): Promise<void> {
        for (const provider of new Set(suspensions.map(suspension => suspension.provider))) {
            const own = suspensions.filter(suspension => suspension.provider === provider);
            const end = Math.max(...own.map(suspension => suspension.until)) + FORGOTTEN_AFTER;
            await this.list(provider, end);
            await this.redis.eval(this.scripts.merge, 1, this.key(provider, 'suspensions'), this.channel, Math.max(1, end - now), ...own.map(suspension => JSON.stringify(suspension)));
        }
    }

    /**
     * The mark of this Redis, set by the first who asks. Another one than before: it has lost its data in between, or a node of
     * the cluster has: each has some of the keys.
     */
    async mark(wanted: string): Promise<string> {
        const keys = Array.from({ length: MARKS }, (_, n) => `${this.keyPrefix}health:{${n}}:mark`);
        const marks = keys.map(async key => {
            await this.redis.set(key, wanted, 'NX');
            return (await this.redis.get(key)) ?? wanted;
        });
        return (await Promise.all(marks)).join(' ');
    }

    /** Lists a provider for snapshots. It cannot be done in the script: the list is on another node of a cluster. */
    private async list(provider: string, until: number): Promise<void> {
        await this.redis.zadd(this.providersKey, 'GT', until, provider);
    }

    private get providersKey(): string {
        return `${this.keyPrefix}health:providers`;
    }

    private key(provider: string, name: string): string {
        return `${this.keyPrefix}health:{${provider}}:${name}`;
    }
}

/** Reads a suspension or an announcement; none when it is neither. */
export function readChange(json: string): Change[] {
    let value: unknown;
    try {
        value = JSON.parse(json);
    } catch {
        return [];
    }
    const stored = v.safeParse(Stored, value);
    if (stored.success) {
        return [{ provider: stored.output.provider, scope: stored.output.scope, suspension: stored.output }];
    }
    const gone = v.safeParse(Gone, value);
    return gone.success ? [{ ...gone.output, suspension: null }] : [];
}

/** A command that fails inside of a transaction does not reject it. */
async function all(transaction: ReturnType<SharedRedis['multi']>): Promise<void> {
    const [failed] = ((await transaction.exec()) ?? []).flatMap(([err]) => err ?? []);
    if (failed) {
        throw failed;
    }
}

function lua(name: string): string {
    return readFileSync(join(packageRoot(), 'lua', `${name}.lua`), 'utf8');
}
