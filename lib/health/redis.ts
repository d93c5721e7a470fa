import type { Cluster, Redis, RedisOptions } from 'ioredis';

/** What our stores talk to: the Redis of ZoneMTA (also behind Sentinel), or a cluster of its own. */
export type SharedRedis = Redis | Cluster;

/** Where the stores are. */
export interface RedisPlace {
    /** ZoneMTA's client: our own are made like it. */
    host: Redis;
    /** Nodes of a Redis Cluster; empty: the Redis that ZoneMTA uses. */
    nodes: readonly { host: string; port: number }[];
}

const COMMAND_TIMEOUT = 500;
const RECONNECT_AFTER = (tries: number) => Math.min(100 * tries, 2000);
/** A slot may have moved, or its node may have fallen: asked again so often, within the patience of a delivery. */
const MAX_REDIRECTIONS = 3;

/**
 * A client of our own beside ZoneMTA's that answers at once when Redis is away: mail does not wait for it.
 * `ready` settles with the first connection, or its first failure.
 */
export function failFast(place: RedisPlace): { client: SharedRedis; ready: Promise<void> } {
    const client = connect(place, { enableOfflineQueue: false, maxRetriesPerRequest: 0, commandTimeout: COMMAND_TIMEOUT });
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
export function listen(place: RedisPlace, channel: string, onMessage: (message: string) => void, onReady: () => void): SharedRedis {
    const client = connect(place, { enableOfflineQueue: true, maxRetriesPerRequest: null, autoResubscribe: place.nodes.length > 0 });
    client.on('error', () => undefined);
    client.on('message', (_channel, message: string) => onMessage(message));
    // not with 'ready' itself: until the server has confirmed it, an announcement may still be missed
    client.on('ready', () => void client.subscribe(channel).then(onReady, () => undefined));
    // in a cluster one node is listened to, and another one when that is gone
    client.on('-node', onReady);
    return client;
}

function connect({ host, nodes }: RedisPlace, options: RedisOptions): SharedRedis {
    if (nodes.length === 0) {
        return host.duplicate({ ...options, retryStrategy: RECONNECT_AFTER });
    }
    // ZoneMTA brings it; who has no cluster needs none
    // eslint-disable-next-line @typescript-eslint/no-require-imports -- at the first use, see above
    const ioredis = require('ioredis') as typeof import('ioredis');
    const { username, password, tls } = host.options;
    return new ioredis.Cluster([...nodes], {
        enableOfflineQueue: options.enableOfflineQueue ?? true,
        maxRedirections: MAX_REDIRECTIONS,
        clusterRetryStrategy: RECONNECT_AFTER,
        redisOptions: {
            ...(options.commandTimeout === undefined ? {} : { commandTimeout: options.commandTimeout }),
            ...(username ? { username } : {}),
            ...(password ? { password } : {}),
            ...(tls ? { tls } : {})
        }
    });
}
