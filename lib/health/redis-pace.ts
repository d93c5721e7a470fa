/** The pace in Redis, shared by all processes and hosts: one call of a script for each delivery. All its keys share the provider's hash tag (Redis Cluster). */
import { isWorthShowing, usedOf } from './memory-pace';
import {
    CONNECTION_WAIT,
    grown,
    GROWTH_TIME,
    LEASE,
    LONGEST_WAIT,
    LOWEST_SHARE,
    SLACK,
    spacingOf,
    STEP,
    STEPS,
    type PaceState,
    type PaceStore,
    type Slot,
    type SlotRequest
} from './pace';
import { all, lua, type SharedRedis } from './redis';
import { SAME_EVENT } from './suspension';

const CONSTANTS = JSON.stringify({
    slack: SLACK,
    longest: LONGEST_WAIT,
    connectionWait: CONNECTION_WAIT,
    lease: LEASE,
    growth: GROWTH_TIME,
    step: STEP,
    steps: STEPS,
    // a slot of a day's lane ends at most a day and its slack after it was taken, and counts for the slack more
    kept: Math.ceil(spacingOf(1, 'day') + SLACK.day)
});
/** A provider is listed so long after its last message, and again not before half of that is over. */
const LISTED = 120_000;
const MAX_SHOWN = 1000;
const MAX_LISTED = 10_000;

export class RedisPace implements PaceStore {
    private readonly scripts = { ask: lua('askSlot-4'), lower: lua('lowerPace-1') };
    private readonly listed = new Map<string, number>();

    /** @param redis a client that fails fast when Redis is away (lib/health/redis.ts) */
    constructor(
        private readonly redis: SharedRedis,
        private readonly keyPrefix: string
    ) {}

    async ask({ provider, pace, delivery, candidates, more, waited, now }: SlotRequest): Promise<Slot> {
        await this.list(provider, now);
        const spacing = (limit: number | undefined, window: 'minute' | 'day') => (limit === undefined ? 0 : spacingOf(limit, window));
        const limits = {
            pool: spacing(pace.pool?.messages, 'minute'),
            address: spacing(pace.address?.messages, 'minute'),
            poolConnections: pace.pool?.connections ?? 0,
            addressConnections: pace.address?.connections ?? 0
        };
        const request = { delivery, waited, more, candidates: candidates.map(({ address, perDay }) => ({ address, day: spacing(perDay, 'day') })) };
        const keys = ['pace', 'minute', 'day', 'under-way'].map(name => this.key(provider, name));
        const answer = await this.redis.eval(this.scripts.ask, keys.length, ...keys, now, JSON.stringify(limits), JSON.stringify(request), CONSTANTS);
        const [number = 0, at = 0, ...rooms] = answer as number[];
        const full = rooms.map((until, index) => ({ address: candidates[index]?.address ?? '', until }));
        const address = candidates[number - 1]?.address ?? '';
        if (at > 0) {
            return { kind: 'wait', at, address, full };
        }
        return number > 0 ? { kind: 'go', address, full } : { kind: 'more', full };
    }

    async release(provider: string, address: string, delivery: string): Promise<void> {
        await this.redis.zrem(this.key(provider, 'under-way'), `${address} ${delivery}`);
    }

    async lower(provider: string, now: number): Promise<number | undefined> {
        await this.redis.zadd(this.providersKey, 'GT', now + GROWTH_TIME, provider);
        const share = await this.redis.eval(this.scripts.lower, 1, this.key(provider, 'pace'), now, SAME_EVENT, GROWTH_TIME, LOWEST_SHARE);
        return share === null ? undefined : Number(share);
    }

    async states(now: number): Promise<PaceState[]> {
        await this.redis.zremrangebyscore(this.providersKey, '-inf', now);
        const providers = await this.redis.zrevrange(this.providersKey, 0, MAX_SHOWN - 1);
        const states = await Promise.all(providers.map(provider => this.state(provider, now)));
        return states.filter(isWorthShowing);
    }

    private async state(provider: string, now: number): Promise<PaceState> {
        const [stored, line] = await Promise.all([this.redis.hgetall(this.key(provider, 'pace')), this.redis.zscore(this.key(provider, 'minute'), 'pool line')]);
        const counts = Array.from({ length: STEPS }, (_, index) => (stored[`c${index}`] ?? '').split(' ').map(Number)).map(([step = 0, count = 0]) => ({ step, count }));
        const { share, since } = stored;
        return {
            provider,
            share: share === undefined ? 1 : grown(Number(share), Number(since), now),
            used: usedOf(counts, now),
            line: Math.max(0, Number(line ?? 0) - now)
        };
    }

    /** Lists a provider for `states`, now and then: the list is on another node of a cluster, so the script cannot do it. */
    private async list(provider: string, now: number): Promise<void> {
        if (now < (this.listed.get(provider) ?? 0)) {
            return;
        }
        if (this.listed.size >= MAX_LISTED) {
            this.listed.clear();
        }
        this.listed.set(provider, now + LISTED / 2);
        await all(this.redis.multi().zremrangebyscore(this.providersKey, '-inf', now).zadd(this.providersKey, 'GT', now + LISTED, provider));
    }

    private get providersKey(): string {
        return `${this.keyPrefix}pace:providers`;
    }

    private key(provider: string, name: string): string {
        return `${this.keyPrefix}pace:{${provider}}:${name}`;
    }
}
