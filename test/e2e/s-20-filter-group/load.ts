/** A steady load of mail through Postfix, every fifth message GTUBE or EICAR. */
import nodemailer from 'nodemailer';
import { BODIES } from '../../bed/demo/plan';
import type { SentMessage } from '../../bed/internet';
import { SENDER_DOMAIN, type World } from '../../bed/world';

/** Several: ZoneMTA takes its time with the mail of one. */
export const DESTINATIONS = Array.from({ length: 10 }, (_, n) => `open${n}.example`);

const TICK_MS = 100;
/** Of the messages that wait in Postfix: a long backlog would hide what happens now. */
const MAX_QUEUED = 40;
const SPAM_EVERY = 5;

/** What number `n` is. */
export function messageOf(n: number): Omit<SentMessage, 'at'> {
    const kind = n % SPAM_EVERY !== 0 ? 'clean' : n % (2 * SPAM_EVERY) === 0 ? 'gtube' : 'eicar';
    const number = String(n).padStart(5, '0');
    const destination = DESTINATIONS[n % DESTINATIONS.length] ?? '';
    return { testId: `s20-${number}`, from: `user${n % 7}@${SENDER_DOMAIN}`, to: `m${number}@${destination}`, destination, kind, expect: kind === 'clean' ? 'deliver' : 'refuse' };
}

export class Load {
    readonly sent: SentMessage[] = [];
    private readonly sending = new Set<Promise<void>>();
    private readonly transport;
    private timer: NodeJS.Timeout | undefined;
    private count = 0;
    private ticking = false;

    constructor(
        private readonly world: World,
        private readonly perSecond: number
    ) {
        const { postfix } = world;
        this.transport = nodemailer.createTransport({ host: postfix?.host ?? '', port: postfix?.port ?? 0, ignoreTLS: true, pool: true, maxConnections: 4, maxMessages: Infinity });
    }

    start(): void {
        this.timer = setInterval(() => void this.tick(), TICK_MS);
    }

    /** Ends the load; all of it is with Postfix then. */
    async stop(): Promise<void> {
        clearInterval(this.timer);
        await Promise.all(this.sending);
        this.transport.close();
    }

    private async tick(): Promise<void> {
        if (this.ticking) {
            return;
        }
        this.ticking = true;
        const waiting = this.sending.size + ((await this.world.postfix?.queue())?.length ?? 0);
        this.ticking = false;
        for (let n = 0; n < (this.perSecond * TICK_MS) / 1000 && waiting + n < MAX_QUEUED; n++) {
            const sending = this.send(messageOf(++this.count)).finally(() => this.sending.delete(sending));
            this.sending.add(sending);
        }
    }

    private async send(message: Omit<SentMessage, 'at'>): Promise<void> {
        await this.transport.sendMail({ from: message.from, to: message.to, subject: `Minutes ${message.testId}`, text: BODIES[message.kind], headers: { 'X-Test-Id': message.testId } });
        this.sent.push({ ...message, at: Date.now() });
    }
}
