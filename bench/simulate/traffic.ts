/** The messages of a run, in the order of time: the same for every strategy, whatever that does. */
import { hashed, seeded, type Random } from '../../test/bed/internet/random';
import { EVENTS, HABITS, PROVIDERS, TRAFFIC, type ProviderModel } from './providers';

const HOUR = 3_600_000;

const KINDS = ['ordinary', 'newsletter', 'unwanted'] as const;

type Kind = (typeof KINDS)[number];

export interface Message {
    id: string;
    at: number;
    provider: ProviderModel;
    sender: string;
    recipient: string;
    unwanted: boolean;
    /** Fate, 0..1 each: is it refused for its content, how quick are its connections. */
    detection: number;
    quickness: number;
    /** When its recipient complains after it was accepted, ms; undefined: never. */
    complaint: number | undefined;
}

/** A million messages to come, in arrays of numbers: as objects they would keep the garbage collector busy for the whole run. */
class Planned {
    /** When, as a part of the run. */
    readonly at: Float64Array;
    private readonly kinds: Uint8Array;
    private readonly customers: Uint16Array;
    size = 0;

    constructor(count: number) {
        this.at = new Float64Array(count);
        this.kinds = new Uint8Array(count);
        this.customers = new Uint16Array(count);
    }

    get isFull(): boolean {
        return this.size >= this.at.length;
    }

    add(at: number, kind: Kind, customer: number): void {
        if (!this.isFull) {
            this.at[this.size] = at;
            this.kinds[this.size] = KINDS.indexOf(kind);
            this.customers[this.size++] = customer;
        }
    }

    inOrder(): Uint32Array {
        return Uint32Array.from(this.at.keys()).sort((a, b) => (this.at[a] ?? 0) - (this.at[b] ?? 0));
    }

    read(place: number): { at: number; kind: Kind; sender: string } {
        const kind = KINDS[this.kinds[place] ?? 0] ?? 'ordinary';
        const customer = this.customers[place] ?? 0;
        const user = customer === HIJACKED ? 'hijacked' : kind === 'newsletter' ? 'news' : 'user';
        return { at: this.at[place] ?? 0, kind, sender: `${user}@customer${customer}.example` };
    }
}

/** Number of the customer whose account is hijacked. */
const HIJACKED = TRAFFIC.customers;

/**
 * @param begin time of the first message, ms
 * @param length of the run, ms
 */
export function* traffic(seed: number, count: number, begin: number, length: number): Generator<Message> {
    const random = seeded(seed);
    const planned = new Planned(count);
    planHijacked(planned, random);
    planNewsletters(planned, random, length);
    planOrdinary(planned, random, length);
    for (const [index, place] of planned.inOrder().entries()) {
        const { at, kind, sender } = planned.read(place);
        const provider = providerAt(random());
        yield {
            id: `m${index}`,
            at: begin + at * length,
            provider,
            sender,
            recipient: `user${Math.floor(random() * 50_000)}@${provider.domain}`,
            unwanted: kind === 'unwanted',
            detection: random(),
            quickness: random(),
            complaint: random() < HABITS.complaints[kind] ? random() * HABITS.complaintWithin * HOUR : undefined
        };
    }
}

function planHijacked(planned: Planned, random: Random): void {
    const { from, to, share } = EVENTS.hijacked;
    const messages = planned.at.length * share;
    for (let n = 0; n < messages; n++) {
        planned.add(from + random() * (to - from), 'unwanted', HIJACKED);
    }
}

function planNewsletters(planned: Planned, random: Random, length: number): void {
    const end = planned.size + planned.at.length * TRAFFIC.newsletters;
    const [least, most] = TRAFFIC.newsletterSize;
    while (planned.size < end) {
        const size = Math.min(least + random() * (most - least), end - planned.size);
        const start = random() * 0.98;
        const customer = Math.floor(random() * TRAFFIC.customers);
        for (let n = 0; n < size; n++) {
            planned.add(start + (n * 1000) / TRAFFIC.newsletterRate / length, 'newsletter', customer);
        }
    }
}

/** More by day than by night. The hours are the run's own: a short run is a part of a day. */
function planOrdinary(planned: Planned, random: Random, length: number): void {
    while (!planned.isFull) {
        const at = random();
        const hour = (at * length) / HOUR;
        if (random() * (1 + TRAFFIC.dayAndNight) < 1 - TRAFFIC.dayAndNight * Math.cos((2 * Math.PI * hour) / 24)) {
            planned.add(at, random() < TRAFFIC.unwanted ? 'unwanted' : 'ordinary', Math.floor(random() ** 2 * TRAFFIC.customers));
        }
    }
}

function providerAt(draw: number): ProviderModel {
    let mark = draw;
    return PROVIDERS.find(({ share }) => (mark -= share) < 0) ?? (PROVIDERS[0] as ProviderModel);
}

/** A number in [0, 1) for what befalls an address at a provider, whatever the strategy has drawn before. */
export function fate(seed: number, ...of: readonly (string | number)[]): number {
    return hashed(of.join(' '), seed);
}
