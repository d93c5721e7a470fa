import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Redis } from 'ioredis';
import { packageRoot } from '../settings/package-root';

const COMMAND_TIMEOUT = 500;

/**
 * A client of our own beside ZoneMTA's that answers at once when Redis is away: mail does not wait for it.
 * `ready` settles with the first connection, or its first failure.
 */
export function failFast(host: Redis): { client: Redis; ready: Promise<void> } {
    const client = host.duplicate({
        enableOfflineQueue: false,
        maxRetriesPerRequest: 0,
        commandTimeout: COMMAND_TIMEOUT,
        retryStrategy: tries => Math.min(100 * tries, 2000)
    });
    const ready = new Promise<void>(resolve => {
        client.once('ready', () => resolve());
        client.once('error', () => resolve());
    });
    // without a listener ioredis prints each failure; our callers see them as failed commands
    client.on('error', () => undefined);
    return { client, ready };
}

/**
 * A client that listens to one channel, beside the others: a subscribed client can do nothing else. `onReady` is called when the
 * channel is heard, with each connection anew, for what was announced in between is lost.
 */
export function listen(host: Redis, channel: string, onMessage: (message: string) => void, onReady: () => void): Redis {
    const client = host.duplicate({ maxRetriesPerRequest: null, autoResubscribe: false, retryStrategy: tries => Math.min(100 * tries, 2000) });
    client.on('error', () => undefined);
    client.on('message', (_channel, message: string) => onMessage(message));
    // not with 'ready' itself: until the server has confirmed it, an announcement may still be missed
    client.on('ready', () => void client.subscribe(channel).then(onReady, () => undefined));
    return client;
}

/** A command that fails inside of a transaction does not reject it. */
export async function all(transaction: ReturnType<Redis['multi']>): Promise<void> {
    const [failed] = ((await transaction.exec()) ?? []).flatMap(([err]) => err ?? []);
    if (failed) {
        throw failed;
    }
}

/** A script of lua/, by the name of its file. */
export function lua(name: string): string {
    return readFileSync(join(packageRoot(), 'lua', `${name}.lua`), 'utf8');
}

/** Asks the shared store; when there is none, or Redis is away, the process's own: mail goes on. */
export async function sharedOrOwn<S, T>(shared: S | undefined, own: S, warn: (err: Error) => void, ask: (store: S) => Promise<T>): Promise<T> {
    if (shared) {
        try {
            return await ask(shared);
        } catch (err) {
            warn(err as Error);
        }
    }
    return ask(own);
}
