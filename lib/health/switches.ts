/**
 * What an operator can turn off at night without a restart: rerouting and the relay, for all or for one provider.
 * A hash in Redis that every process reads each second, so that a switch thrown anywhere holds everywhere within two.
 * Scanning has no switch on purpose.
 */
import type { SharedRedis } from './redis';

export const SWITCHES = ['reroute', 'relay'] as const;
export type SwitchName = (typeof SWITCHES)[number];

export interface SwitchState {
    name: SwitchName;
    /** Undefined: for all. */
    provider?: string;
    /** Who turned it off, when, and why, as given; for people. */
    note: string;
}

const POLL_MS = 1000;
const MAX_OFF = 1000;

export class Switches {
    private off = new Map<string, string>();
    private timer: NodeJS.Timeout | undefined;

    /** @param redis undefined: no Redis, switches hold for this process only */
    constructor(
        private readonly redis: SharedRedis | undefined,
        private readonly keyPrefix: string,
        private readonly warn: (err: Error) => void
    ) {}

    /** Reads the switches and keeps reading. While Redis is away the last known ones hold. */
    async start(): Promise<void> {
        await this.refresh();
        this.timer = setInterval(() => void this.refresh(), POLL_MS);
        this.timer.unref();
    }

    stop(): void {
        clearInterval(this.timer);
    }

    isOn(name: SwitchName, provider: string): boolean {
        return !this.off.has(name) && !this.off.has(`${name}:${provider}`);
    }

    /** All that is off. */
    list(): SwitchState[] {
        return [...this.off].flatMap(([field, note]) => {
            const [, word, provider] = /^([a-z]+)(?::(.+))?$/.exec(field) ?? [];
            const name = SWITCHES.find(known => known === word);
            return name ? [{ name, ...(provider === undefined ? {} : { provider }), note }] : [];
        });
    }

    /**
     * Turns a switch on or off everywhere.
     *
     * @throws Error when Redis does not take it: then it holds nowhere
     */
    async set(name: SwitchName, provider: string | undefined, on: boolean, note: string): Promise<void> {
        const field = provider === undefined ? name : `${name}:${provider}`;
        if (on) {
            await this.redis?.hdel(this.key, field);
            this.off.delete(field);
        } else {
            await this.redis?.hset(this.key, field, note);
            this.off.set(field, note);
        }
    }

    private get key(): string {
        return `${this.keyPrefix}switches`;
    }

    private async refresh(): Promise<void> {
        if (!this.redis) {
            return;
        }
        try {
            const stored = await this.redis.hgetall(this.key);
            this.off = new Map(Object.entries(stored).slice(0, MAX_OFF));
        } catch (err) {
            this.warn(err as Error);
        }
    }
}
