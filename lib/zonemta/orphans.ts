/**
 * Deliveries whose sender was killed. Main forgets its own lock with the sender's connection (lib/queue-server.js), but the queue
 * document stays locked until main restarts, or for 61 minutes (lib/mail-queue.js, clearGarbage).
 */
import type { PluginApp } from './app';
import { nameOf } from './delivery';

/** Main's queue (lib/mail-queue.js), as far as it is needed here. */
interface MailQueue {
    instanceId: string;
    options: { collection: string };
    locks: { lockExists(key: string): boolean };
}

interface Locked {
    id: string;
    seq: string;
    lockTime: number;
}

/** As many as are freed at once; the rest follows in the next round. */
const MAX_FREED = 1000;

/** The name under which this instance locks deliveries (`queue.instanceId`); empty outside of main, or before its queue is open. */
export function instanceOf(app: PluginApp): string {
    return queueOf(app)?.instanceId ?? '';
}

/**
 * Frees what this instance has locked before a moment (Unix ms), and no sender of it holds any more. To be called in main only, and only
 * while no other main uses the same instance id: that one's deliveries would be sent twice.
 *
 * @returns ids of the freed deliveries, as "id.seq"
 * @throws Error when MongoDB does not answer
 */
export async function freeOrphans(app: PluginApp, before: number): Promise<string[]> {
    const queue = queueOf(app);
    if (!queue || !app.mongodb) {
        return [];
    }
    const collection = app.mongodb.collection<Locked & { locked: boolean; assigned: string }>(queue.options.collection);
    const locked = await collection
        .find({ locked: true, assigned: queue.instanceId, lockTime: { $lte: before } }, { projection: { _id: 0, id: 1, seq: 1, lockTime: 1 } })
        .limit(MAX_FREED)
        .toArray();
    const freed: string[] = [];
    for (const { id, seq, lockTime } of locked.filter(({ id, seq }) => !queue.locks.lockExists(`lock ${id} ${seq}`))) {
        // the time of the lock tells whether somebody has taken it meanwhile
        const { modifiedCount } = await collection.updateOne({ id, seq, locked: true, lockTime }, { $set: { locked: false, lockTime: 0 } });
        freed.push(...(modifiedCount > 0 ? [nameOf({ id, seq })] : []));
    }
    return freed;
}

function queueOf(app: PluginApp): MailQueue | undefined {
    const queue = app.getQueue() as Partial<MailQueue> | false;
    return queue && queue.instanceId && queue.locks && queue.options ? (queue as MailQueue) : undefined;
}
