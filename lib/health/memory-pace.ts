/** The pace in memory: for a process without Redis, and while Redis is away. The rules are those of lua/askSlot-4.lua. */
import { ByProvider } from './by-provider';
import {
    CONNECTION_WAIT,
    countsConnections,
    grown,
    LEASE,
    LONGEST_WAIT,
    LOWEST_SHARE,
    SLACK,
    spacingOf,
    STEP,
    STEPS,
    type Candidate,
    type Full,
    type PaceState,
    type PaceStore,
    type Slot,
    type SlotRequest
} from './pace';
import { SAME_EVENT } from './suspension';

/** Slots that are handed out one spacing apart. */
interface Lane {
    name: string;
    spacing: number;
    slack: number;
}

/** What is remembered of a provider. */
interface Memory {
    /** End of the last slot of each lane that was taken, and the end of its line. */
    slots: Map<string, number>;
    lines: Map<string, number>;
    /** Deliveries under way: when they are forgotten. */
    leases: Map<string, { address: string; until: number }>;
    counts: { step: number; count: number }[];
    lowered: { share: number; since: number } | undefined;
    swept: number;
}

const SWEEP_EVERY = 10_000;

export class MemoryPace implements PaceStore {
    private readonly memories = new ByProvider<Memory>(() => ({ slots: new Map(), lines: new Map(), leases: new Map(), counts: [], lowered: undefined, swept: 0 }));

    /** @param part of the pace that is this process's own, 0..1: the others do not know what it sends */
    constructor(private readonly part = 1) {}

    async ask({ provider, pace, delivery, candidates, more, waited, now }: SlotRequest): Promise<Slot> {
        const memory = this.memories.of(provider);
        sweep(memory, now);
        const share = shareOf(memory, now);
        const minuteLane = (name: string, messages: number): Lane => ({ name, spacing: spacingOf(messages * this.part, 'minute') / share, slack: SLACK.minute });
        const freeAt = (lanes: readonly Lane[]) => lanes.reduce((at, lane) => Math.max(at, slotOf(memory, lane, now), waited ? 0 : lineOf(memory, lane, now)), now);
        const underWay = countsConnections(pace) ? [...memory.leases.values()].filter(({ until }) => until > now).map(({ address }) => address) : [];
        const isTaken = (connections: number | undefined, count: number) => connections !== undefined && count >= Math.max(1, Math.floor(connections * this.part));

        const pool = pace.pool ? [minuteLane('pool', pace.pool.messages)] : [];
        const poolAt = Math.max(freeAt(pool), isTaken(pace.pool?.connections, underWay.length) ? now + CONNECTION_WAIT : now);
        if (poolAt > now) {
            return { kind: 'wait', at: stand(memory, pool, poolAt, now), address: '', full: [] };
        }
        const lanesOf = ({ address, perDay }: Candidate): Lane[] => [
            ...(pace.address ? [minuteLane(address, pace.address.messages)] : []),
            ...(perDay === undefined ? [] : [{ name: `${address} day`, spacing: spacingOf(perDay * this.part, 'day'), slack: SLACK.day }])
        ];
        const full: (Full & { at: number; lanes: Lane[] })[] = [];
        for (const candidate of candidates) {
            const { address } = candidate;
            const lanes = lanesOf(candidate);
            const busy = isTaken(pace.address?.connections, underWay.filter(other => other === address).length);
            const at = Math.max(freeAt(lanes), busy ? now + CONNECTION_WAIT : now);
            if (at <= now) {
                [...pool, ...lanes].forEach(lane => memory.slots.set(lane.name, slotOf(memory, lane, now) + lane.spacing));
                if (countsConnections(pace)) {
                    memory.leases.set(`${address} ${delivery}`, { address, until: now + LEASE });
                }
                count(memory, now);
                return { kind: 'go', address, full: full.map(named) };
            }
            full.push({ address, at, until: Math.ceil(at), lanes });
        }
        const first = full.reduce((least, other) => (other.at < least.at ? other : least), full[0] ?? { address: '', at: now, lanes: [] });
        return more ? { kind: 'more', full: full.map(named) } : { kind: 'wait', at: stand(memory, first.lanes, first.at, now), address: first.address, full: full.map(named) };
    }

    async release(provider: string, address: string, delivery: string): Promise<void> {
        this.memories.find(provider)?.leases.delete(`${address} ${delivery}`);
    }

    async lower(provider: string, now: number): Promise<number | undefined> {
        const memory = this.memories.of(provider);
        if (memory.lowered && Math.abs(now - memory.lowered.since) < SAME_EVENT) {
            return undefined;
        }
        const share = Math.max(LOWEST_SHARE, shareOf(memory, now) / 2);
        memory.lowered = { share, since: now };
        return share;
    }

    async states(now: number): Promise<PaceState[]> {
        return [...this.memories]
            .map(([provider, memory]) => ({ provider, share: shareOf(memory, now), used: usedOf(memory.counts, now), line: Math.max(0, (memory.lines.get('pool') ?? 0) - now) }))
            .filter(isWorthShowing);
    }
}

/** Mail went out a short while ago, or waits, or goes more slowly than it is configured. */
export function isWorthShowing({ share, used, line }: PaceState): boolean {
    return used > 0 || line > 0 || share < 1;
}

/** Messages of the last minute. */
export function usedOf(counts: readonly { step: number; count: number }[], now: number): number {
    const step = Math.floor(now / STEP);
    return counts.reduce((sum, known) => (known.step > step - STEPS && known.step <= step ? sum + known.count : sum), 0);
}

function count({ counts }: Memory, now: number): void {
    const step = Math.floor(now / STEP);
    const known = counts[step % STEPS];
    counts[step % STEPS] = { step, count: known?.step === step ? known.count + 1 : 1 };
}

function shareOf({ lowered }: Memory, now: number): number {
    return lowered ? grown(lowered.share, lowered.since, now) : 1;
}

/** The slot that the next message takes. */
function slotOf({ slots }: Memory, { name, spacing, slack }: Lane, now: number): number {
    return Math.max(endOf(slots, name, now + spacing), now - slack);
}

function lineOf({ lines }: Memory, { name, spacing }: Lane, now: number): number {
    return endOf(lines, name, now + LONGEST_WAIT + spacing);
}

/** What lies further in the future than any of our own times can is of a clock that was wrong, and is set right. */
function endOf(ends: Map<string, number>, name: string, latest: number): number {
    const end = ends.get(name) ?? 0;
    if (end > latest) {
        ends.set(name, latest);
    }
    return Math.min(end, latest);
}

/** Gives the next turn in the lines of these lanes. */
function stand(memory: Memory, lanes: readonly Lane[], earliest: number, now: number): number {
    const at = Math.min(lanes.reduce((latest, lane) => Math.max(latest, lineOf(memory, lane, now)), earliest), now + LONGEST_WAIT);
    lanes.forEach(lane => memory.lines.set(lane.name, at + lane.spacing));
    return Math.ceil(at);
}

/** What says no more than nothing takes no room. */
function sweep(memory: Memory, now: number): void {
    if (Math.abs(now - memory.swept) < SWEEP_EVERY) {
        return;
    }
    memory.swept = now;
    const { slots, lines, leases } = memory;
    [...slots].filter(([name, end]) => end <= now - (name.endsWith(' day') ? SLACK.day : SLACK.minute)).forEach(([name]) => slots.delete(name));
    [...lines].filter(([, end]) => end <= now).forEach(([name]) => lines.delete(name));
    [...leases].filter(([, { until }]) => until <= now).forEach(([name]) => leases.delete(name));
}

function named({ address, until }: Full): Full {
    return { address, until };
}
