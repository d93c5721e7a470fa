/**
 * What each process has to say of itself, for the one that serves `/status`: ZoneMTA's processes share nothing but Redis and
 * MongoDB. Every process writes a small text into one hash now and then; a text that has become old belongs to a
 * process that is gone, and is removed by whoever reads it. Without Redis a process knows only itself.
 */
import type { SharedRedis } from './redis';

export interface Bulletin {
    /** Which process: context, host and process id. */
    process: string;
    /** When it was written, Unix ms. */
    at: number;
    content: Record<string, unknown>;
}

const EVERY_MS = 2000;
const OLD_MS = 10_000;
/** The hash goes with the last process. */
const EXPIRY_MS = 60_000;
const MAX_LENGTH = 16_384;
const MAX_READ = 500;

export class Bulletins {
    private timer: NodeJS.Timeout | undefined;

    /**
     * @param redis a client that fails fast when Redis is away (lib/health/redis.ts); undefined: no Redis
     * @param compose what this process has to say, now
     */
    constructor(
        private readonly redis: SharedRedis | undefined,
        private readonly keyPrefix: string,
        private readonly process: string,
        private readonly compose: () => Record<string, unknown>,
        private readonly now: () => number,
        private readonly warn: (err: Error) => void
    ) {}

    /** Publishes now, and from time to time. Never rejects. */
    async start(): Promise<void> {
        await this.publish();
        this.timer = setInterval(() => void this.publish(), EVERY_MS);
        this.timer.unref();
    }

    stop(): void {
        clearInterval(this.timer);
    }

    /** The bulletins of all processes, this one's as it is now. Never rejects. */
    async read(): Promise<Bulletin[]> {
        const own: Bulletin = { process: this.process, at: this.now(), content: this.compose() };
        const others = (await this.stored()).filter(({ process }) => process !== this.process);
        return [own, ...others].sort((one, other) => (one.process < other.process ? -1 : 1));
    }

    private async publish(): Promise<void> {
        const text = JSON.stringify({ at: this.now(), content: this.compose() });
        if (!this.redis || text.length > MAX_LENGTH) {
            return;
        }
        try {
            await this.redis.multi().hset(this.key, this.process, text).pexpire(this.key, EXPIRY_MS).exec();
        } catch (err) {
            this.warn(err as Error);
        }
    }

    private async stored(): Promise<Bulletin[]> {
        try {
            const fields = Object.entries((await this.redis?.hgetall(this.key)) ?? {}).slice(0, MAX_READ);
            const all = fields.map(([process, text]) => ({ process, ...readBulletin(text) }));
            const old = all.filter(({ at }) => at + OLD_MS < this.now());
            if (old.length > 0) {
                await this.redis?.hdel(this.key, ...old.map(({ process }) => process));
            }
            return all.filter(bulletin => !old.includes(bulletin));
        } catch (err) {
            this.warn(err as Error);
            return [];
        }
    }

    private get key(): string {
        return `${this.keyPrefix}bulletins`;
    }
}

/** What another version wrote, or somebody's hand, counts as old. */
function readBulletin(text: string): Omit<Bulletin, 'process'> {
    try {
        const { at, content } = JSON.parse(text) as Partial<Bulletin>;
        return typeof at === 'number' && content !== null && typeof content === 'object' ? { at, content } : { at: 0, content: {} };
    } catch {
        return { at: 0, content: {} };
    }
}
