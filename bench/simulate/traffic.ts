/** The messages of a run, in the order of time: the same for every strategy, whatever that does. */
import { hashed, seeded, type Random } from '../../test/bed/internet/random';
import { EVENTS, HABITS, PROVIDERS, TRAFFIC, type ProviderModel } from './providers';

const HOUR = 3_600_000;

type Kind = 'ordinary' | 'newsletter' | 'unwanted';

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

interface Planned {
    at: number;
    kind: Kind;
    sender: string;
}

/**
 * @param begin time of the first message, ms
 * @param length of the run, ms
 */
export function* traffic(seed: number, count: number, begin: number, length: number): Generator<Message> {
    const random = seeded(seed);
    const planned = [...hijacked(random, count), ...newsletters(random, count)];
    while (planned.length < count) {
        planned.push(ordinary(random));
    }
    planned.sort((a, b) => a.at - b.at);
    for (const [index, { at, kind, sender }] of planned.entries()) {
        yield messageOf(index, begin + at * length, kind, sender, random);
    }

    function messageOf(index: number, at: number, kind: Kind, sender: string, draw: Random): Message {
        const provider = providerAt(draw());
        return {
            id: `m${index}`,
            at,
            provider,
            sender,
            recipient: `user${Math.floor(draw() * 50_000)}@${provider.domain}`,
            unwanted: kind === 'unwanted',
            detection: draw(),
            quickness: draw(),
            complaint: draw() < HABITS.complaints[kind] ? draw() * HABITS.complaintWithin * HOUR : undefined
        };
    }

    /** More by day than by night. The hours are the run's own: a short run is a part of a day. */
    function ordinary(draw: Random): Planned {
        for (;;) {
            const at = draw();
            const hour = (at * length) / HOUR;
            if (draw() * (1 + TRAFFIC.dayAndNight) < 1 - TRAFFIC.dayAndNight * Math.cos((2 * Math.PI * hour) / 24)) {
                const sender = `user@customer${Math.floor(draw() ** 2 * TRAFFIC.customers)}.example`;
                return { at, kind: draw() < TRAFFIC.unwanted ? 'unwanted' : 'ordinary', sender };
            }
        }
    }

    function newsletters(draw: Random, all: number): Planned[] {
        const found: Planned[] = [];
        const [least, most] = TRAFFIC.newsletterSize;
        while (found.length < all * TRAFFIC.newsletters) {
            const size = Math.min(least + draw() * (most - least), all * TRAFFIC.newsletters - found.length + 1);
            const start = draw() * 0.98;
            const sender = `news@customer${Math.floor(draw() * TRAFFIC.customers)}.example`;
            for (let n = 0; n < size; n++) {
                found.push({ at: start + (n * 1000) / TRAFFIC.newsletterRate / length, kind: 'newsletter', sender });
            }
        }
        return found;
    }
}

function hijacked(random: Random, count: number): Planned[] {
    const { from, to, share } = EVENTS.hijacked;
    return Array.from({ length: Math.floor(count * share) }, () => ({ at: from + random() * (to - from), kind: 'unwanted', sender: 'hijacked@customer.example' }));
}

function providerAt(draw: number): ProviderModel {
    let mark = draw;
    return PROVIDERS.find(({ share }) => (mark -= share) < 0) ?? (PROVIDERS[0] as ProviderModel);
}

/** A number in [0, 1) for what befalls an address at a provider, whatever the strategy has drawn before. */
export function fate(seed: number, ...of: readonly (string | number)[]): number {
    return hashed(of.join(' '), seed);
}
