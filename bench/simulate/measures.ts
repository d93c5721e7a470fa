/** What is counted in a run. Wanted mail and unwanted mail apart: speed is measured on wanted mail only. */
import type { Damage } from './world';
import type { Message } from './traffic';

const SECOND = 1000;
const HOUR = 3_600_000;

export interface Sample {
    /** Hours since the beginning. */
    hour: number;
    /** Pairs of address and provider: blocked there, suspended by us, and suspended though not blocked. */
    blocked: number;
    suspended: number;
    inVain: number;
}

export interface Outcome extends Damage {
    strategy: string;
    wanted: number;
    /** Wanted messages: accepted from the pool, by the relay, failed for good; the rest was in the queue at the end. */
    delivered: number;
    relayed: number;
    bounced: number;
    /** Unwanted messages that were accepted, from the pool or by the relay. */
    unwantedDelivered: number;
    unwantedRelayed: number;
    /** Attempts of wanted messages, from the pool. */
    attempts: number;
    /** Wanted messages by number of attempts from the pool; the last entry is "or more". */
    byAttempts: number[];
    /** Wanted messages, delivered or relayed, by time: one entry for each tenth of a power of ten of seconds. */
    byTime: number[];
    within: { tenSeconds: number; minute: number; hour: number };
    /** Address-hours. */
    hours: Record<'blocked' | 'suspended' | 'inVain', number>;
    samples: Sample[];
}

/** Most attempts that are told apart. */
const ATTEMPTS = 10;
/** A tenth of a second comes first, then ten steps for each power of ten, to 10^6 s. */
const STEPS = 70;

/** Upper end of each step of `byTime`, seconds. */
export const STEP_ENDS = Array.from({ length: STEPS }, (_, step) => 10 ** ((step + 1) / 10 - 1));

export class Measures {
    private readonly counts = {
        wanted: 0,
        delivered: 0,
        relayed: 0,
        bounced: 0,
        unwantedDelivered: 0,
        unwantedRelayed: 0,
        attempts: 0,
        byAttempts: new Array<number>(ATTEMPTS).fill(0),
        byTime: new Array<number>(STEPS).fill(0),
        within: { tenSeconds: 0, minute: 0, hour: 0 },
        hours: { blocked: 0, suspended: 0, inVain: 0 },
        samples: [] as Sample[]
    };

    constructor(private readonly begin: number) {}

    sent({ unwanted }: Message): void {
        this.counts.wanted += Number(!unwanted);
    }

    delivered(message: Message, attempts: number, now: number): void {
        if (message.unwanted) {
            this.counts.unwantedDelivered++;
            return;
        }
        this.counts.delivered++;
        this.arrived(message, attempts, now);
    }

    relayed(message: Message, attempts: number, now: number): void {
        if (message.unwanted) {
            this.counts.unwantedRelayed++;
            return;
        }
        this.counts.relayed++;
        this.arrived(message, attempts, now);
    }

    bounced({ unwanted }: Message, attempts: number): void {
        if (!unwanted) {
            this.counts.bounced++;
            this.counts.attempts += attempts;
        }
    }

    /** @param hours that each pair counts for */
    sample(now: number, pairs: Omit<Sample, 'hour'>, hours: number): void {
        this.counts.samples.push({ hour: (now - this.begin) / HOUR, ...pairs });
        for (const name of ['blocked', 'suspended', 'inVain'] as const) {
            this.counts.hours[name] += pairs[name] * hours;
        }
    }

    outcome(strategy: string, damage: Damage): Outcome {
        return { strategy, ...this.counts, ...damage };
    }

    private arrived({ at }: Message, attempts: number, now: number): void {
        const seconds = (now - at) / SECOND;
        const { byAttempts, byTime, within } = this.counts;
        this.counts.attempts += attempts;
        byAttempts[Math.min(attempts, ATTEMPTS - 1)] = (byAttempts[Math.min(attempts, ATTEMPTS - 1)] ?? 0) + 1;
        const step = Math.min(Math.max(Math.ceil(10 * (Math.log10(seconds) + 1)) - 1, 0), STEPS - 1);
        byTime[step] = (byTime[step] ?? 0) + 1;
        within.tenSeconds += Number(seconds <= 10);
        within.minute += Number(seconds <= 60);
        within.hour += Number(seconds <= 3600);
    }
}
