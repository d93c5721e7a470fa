import type { Redis } from 'ioredis';

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
