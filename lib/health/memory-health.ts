/** Suspensions in memory: for a process without Redis, and while Redis is away. Works on the table that the choice reads. */
import { ByProvider } from './by-provider';
import {
    coolDownAfter,
    isRunning,
    partsNeeded,
    partsOfProvider,
    PROBE_TIME,
    SAME_EVENT,
    TURN_INTERVAL,
    WIDENING_WINDOW,
    type Change,
    type HealthLimits,
    type HealthStore,
    type Strike,
    type Success,
    type Suspension
} from './suspension';
import { mayProbe, type SuspensionTable } from './table';

interface Refusal {
    at: number;
    message: string;
}

/** What is remembered of a provider beside its suspensions; the same as in lua/strike-4.lua. */
interface Memory {
    /** Strikes that count on after a suspension was cleared, by scope and class. */
    strikes: Map<string, { count: number; until: number }>;
    /** Refused parts by range: when last, and of which message. */
    parts: Map<string, Map<string, Refusal>>;
    /** Last acceptance by scope. */
    accepted: Map<string, number>;
    turn: number;
}

export class MemoryHealth implements HealthStore {
    private readonly memories = new ByProvider<Memory>(() => ({ strikes: new Map(), parts: new Map(), accepted: new Map(), turn: 0 }));

    constructor(
        private readonly table: SuspensionTable,
        private readonly limits: HealthLimits
    ) {}

    async strike(strike: Strike): Promise<Change[]> {
        const { provider, scopes, base, now } = strike;
        const memory = this.memories.of(provider);
        scopes.forEach((scope, index) => memory.accepted.set(scope, Math.max(memory.accepted.get(scope) ?? 0, strike.accepted[index] ?? 0)));
        const around = this.table.find(provider, scopes.slice(base), now);
        if (around.some(known => isRunning(known, now) && known.class === strike.class && now - known.struck < SAME_EVENT)) {
            return [];
        }
        const changes = [this.suspend(strike, scopes[base] ?? '', memory)];
        const family = scopes.length - 2;
        for (let index = base + 1; index < scopes.length; index++) {
            const [scope = '', part = ''] = [scopes[index], scopes[index - 1]];
            // a family is made of suspended ranges, the provider of suspended families: a single message tries many ranges
            const counts = index < family || this.table.find(provider, [part], now).some(known => isRunning(known, now));
            if (counts && !strike.undecided[index] && this.note(memory, scope, part, strike) && !this.table.find(provider, [scope], now).some(known => isRunning(known, now))) {
                changes.push(this.suspend(strike, scope, memory));
            }
        }
        return changes;
    }

    async succeed({ provider, scopes, startedAt, now }: Success): Promise<Change[]> {
        const memory = this.memories.of(provider);
        scopes.forEach(scope => memory.accepted.set(scope, Math.max(memory.accepted.get(scope) ?? 0, now)));
        const cleared = this.table.find(provider, scopes, now).filter(known => known.class !== 'operator' && known.struck < startedAt);
        for (const { scope, class: reason, strikes, struck, until } of cleared) {
            memory.strikes.set(`${scope} ${reason}`, { count: strikes - 1, until: now + 2 * (until - struck) });
        }
        return this.apply(cleared.map(({ scope }) => ({ provider, scope, suspension: null })));
    }

    async claimProbe(provider: string, scopes: readonly string[], now: number): Promise<Change[] | undefined> {
        const found = this.table.find(provider, scopes, now);
        if (!mayProbe(found, now)) {
            return undefined;
        }
        return this.apply(found.map(known => ({ provider, scope: known.scope, suspension: { ...known, probing: now + PROBE_TIME } })));
    }

    async takeTurn(provider: string, now: number): Promise<boolean> {
        const memory = this.memories.of(provider);
        if (now < memory.turn) {
            return false;
        }
        memory.turn = now + TURN_INTERVAL;
        return true;
    }

    async put(suspension: Suspension): Promise<Change[]> {
        return this.apply([{ provider: suspension.provider, scope: suspension.scope, suspension }]);
    }

    async lift(provider: string, scope: string): Promise<Change[]> {
        const { strikes } = this.memories.of(provider);
        [...strikes.keys()].filter(key => key.startsWith(`${scope} `)).forEach(key => strikes.delete(key));
        return this.apply([{ provider, scope, suspension: null }]);
    }

    async snapshot(now: number): Promise<Suspension[]> {
        return this.table.list(now);
    }

    private suspend(strike: Strike, scope: string, memory: Memory): Change {
        const { provider, class: reason, code, note, now, retryAfter, coolDownOf = reason } = strike;
        const [known] = this.table.find(provider, [scope], now);
        const remembered = memory.strikes.get(`${scope} ${reason}`);
        const earlier = known?.class === reason ? known.strikes : remembered && now < remembered.until ? remembered.count : 0;
        const until = now + coolDownAfter(this.limits.coolDown[coolDownOf], earlier, retryAfter);
        // a longer suspension for another reason stays
        const suspension: Suspension =
            known && known.class !== reason && known.until > until
                ? { ...known, struck: now }
                : { provider, scope, class: reason, code, strikes: earlier + 1, struck: now, until: Math.max(until, known?.until ?? 0), probing: 0, note };
        const change = { provider, scope, suspension };
        this.apply([change]);
        return change;
    }

    /** Notes a refused part of a range. Were that enough of them, from more than one message, since mail from it was last accepted? */
    private note(memory: Memory, scope: string, part: string, { message, now }: Strike): boolean {
        const parts = memory.parts.get(scope) ?? new Map<string, Refusal>();
        memory.parts.set(scope, parts.set(part, { at: now, message }));
        const accepted = memory.accepted.get(scope) ?? 0;
        [...parts].filter(([, { at }]) => at <= now - WIDENING_WINDOW).forEach(([stale]) => parts.delete(stale));
        const fresh = [...parts.values()].filter(({ at }) => at > accepted);
        const needed = scope === 'provider' ? partsOfProvider(this.limits.rangeAfter) : this.limits.rangeAfter;
        return fresh.length >= partsNeeded(needed, accepted, now) && new Set(fresh.map(refusal => refusal.message)).size > 1;
    }

    private apply(changes: Change[]): Change[] {
        this.table.apply(changes);
        return changes;
    }
}
