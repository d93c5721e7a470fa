/**
 * What happened to each delivery: one small document an event, in ZoneMTA's own MongoDB. Written in the hooks that ZoneMTA
 * awaits, so that an end is on record before the delivery leaves the queue, wherever a hook allows it.
 */
import type { Collection, Db } from 'mongodb';
import type { Attempt } from '../delivery/types';
import { oneLine } from '../delivery/state';

export const COLLECTION = 'smart-relay-history';

/** What the scan of a message came to. `action` and `score` are rspamd's; empty without a verdict. */
export interface ScanEvent {
    kind: 'scan';
    result: string;
    action: string;
    score: number;
    server: string;
    ms: number;
    /** Servers that were asked, in order. */
    tried: readonly string[];
    /** What weighed most, as "NAME(score)". */
    symbols: readonly string[];
}

export type HistoryEvent =
    | ScanEvent
    | { kind: 'attempt'; attempt: Attempt; verdict: string; reason: string; zone: string; phase: 'pool' | 'relay'; next?: number }
    | { kind: 'delivered'; attempt: Attempt; zone: string; phase: 'pool' | 'relay' };

export interface HistoryRecord {
    /** ZoneMTA's message id. */
    id: string;
    /** Number of the delivery within the message; empty for what concerns the whole message. */
    seq: string;
    at: number;
    recipient: string;
    sender: string;
    event: HistoryEvent;
    /** Set on an attempt whose reply no rule knew. */
    unknown?: true;
    expires: Date;
}

const DAY = 24 * 3_600_000;
const SWEEP_MS = 3_600_000;
const MAX_READ = 1000;
const MAX_UNKNOWN = 2000;
const MAX_ADDRESS = 320;

export class History {
    private readonly collection: Collection<HistoryRecord>;
    private dropped = 0;
    private sweeper: NodeJS.Timeout | undefined;

    constructor(
        db: Db,
        private readonly days: number,
        private readonly now: () => number,
        private readonly warn: (err: Error) => void
    ) {
        this.collection = db.collection<HistoryRecord>(COLLECTION);
    }

    /** Indexes, and the expiry: a TTL index, or a sweep now and then where the server has none (FerretDB 1.x). Main process only. */
    async maintain(noExpiry: (err: Error) => void): Promise<void> {
        try {
            await this.collection.createIndex({ id: 1, at: 1 }, { name: 'message' });
            await this.collection.createIndex({ unknown: 1, at: 1 }, { name: 'unknown' });
        } catch (err) {
            this.warn(err as Error);
        }
        try {
            await this.collection.createIndex({ expires: 1 }, { name: 'expiry', expireAfterSeconds: 0 });
        } catch (err) {
            noExpiry(err as Error);
            await this.sweep();
            this.sweeper = setInterval(() => void this.sweep(), SWEEP_MS);
            this.sweeper.unref();
        }
    }

    stop(): void {
        clearInterval(this.sweeper);
    }

    /** Removes what is older than the settings allow. Never rejects. */
    async sweep(): Promise<void> {
        await this.collection.deleteMany({ expires: { $lte: new Date(this.now()) } }).catch((err: Error) => this.warn(err));
    }

    /** Writes an event. Never rejects: mail goes on without its history; what could not be written is counted. */
    async write(record: Omit<HistoryRecord, 'at' | 'expires'>): Promise<void> {
        const at = this.now();
        try {
            await this.collection.insertOne({
                ...record,
                recipient: oneLine(record.recipient, MAX_ADDRESS),
                sender: oneLine(record.sender, MAX_ADDRESS),
                at,
                expires: new Date(at + this.days * DAY)
            });
        } catch (err) {
            this.dropped++;
            this.warn(err as Error);
        }
    }

    /** All events of a message, or of one delivery of it, in the order of time. */
    async read(id: string, seq?: string): Promise<HistoryRecord[]> {
        const query = seq === undefined ? { id } : { id, seq };
        const found = await this.collection.find(query, { projection: { _id: 0, expires: 0 } }).sort({ at: 1 }).limit(MAX_READ).toArray();
        return found;
    }

    /** The newest attempts whose reply no rule knew, and all deliveries of the same messages. */
    async readUnknown(): Promise<HistoryRecord[]> {
        const unknown = await this.collection.find({ unknown: true }).sort({ at: -1 }).limit(MAX_UNKNOWN).toArray();
        const ids = [...new Set(unknown.map(({ id }) => id))];
        const delivered = await this.collection.find({ id: { $in: ids }, 'event.kind': 'delivered' }).limit(MAX_UNKNOWN).toArray();
        return [...unknown, ...delivered];
    }

    /** Events that could not be written since the start of this process. */
    get lost(): number {
        return this.dropped;
    }
}
