/** Who writes to whom in the demo, from a seeded random source. Every message has a recipient of its own. */
import {
    accept,
    contentRefused,
    greylist,
    limitPerAddress,
    REPLIES,
    refuseAll,
    refuseShare,
    seeded,
    shareOf,
    shuffled,
    spfFail,
    timeout,
    unknownUser,
    type Destination,
    type Reply,
    type SentMessage
} from '../internet';
import { SENDER_DOMAIN, type Pool } from '../world';

/** What a destination is to the demo: its behaviour, its part of the mail, and what should become of a message to it. */
interface Scene extends Omit<Destination, 'behaviour'> {
    behaviour: (pool: Pool, seed: number) => Destination['behaviour'];
    weight: number;
    expect: 'deliver' | 'relay' | 'bounce';
    /** The relay may rightly see it: after the last address of ours. */
    mayRelay?: boolean;
}

const GREYLIST_MS = 3000;
/** ZoneMTA gives a silent server two minutes; this one drops the connection first. */
const SILENT_MS = 2000;
const SENDERS = 12;
const SPAM_SHARE = 0.04;
const VIRUS_SHARE = 0.04;
/** Of what the relay gets, the share that it refuses for good, and the share that it puts off for ever. */
const RELAY_REFUSES = 0.1;
const RELAY_PUTS_OFF = 0.05;

const SCENES: readonly Scene[] = [
    { domain: 'open.example', behaviour: () => accept(), ipv6: true, weight: 4, expect: 'deliver' },
    { domain: 'listed30.example', behaviour: (pool, seed) => refuseShare(shareOf(pool.all, 0.3, seed), 'rcpt', REPLIES.spamhaus), ipv6: true, weight: 4, expect: 'deliver', mayRelay: true },
    { domain: 'greeting30.example', behaviour: (pool, seed) => refuseShare(shareOf(pool.all, 0.3, seed + 1), 'greeting', REPLIES.ciscoPoorReputation), weight: 2, expect: 'deliver', mayRelay: true },
    { domain: 'banned30.example', behaviour: (pool, seed) => refuseShare(shareOf(pool.all, 0.3, seed + 2), 'mail', REPLIES.microsoftBanned), weight: 2, expect: 'deliver', mayRelay: true },
    { domain: 'doubtful30.example', behaviour: (pool, seed) => refuseShare(shareOf(pool.all, 0.3, seed + 3), 'data', REPLIES.titanInsufficientReputation), weight: 2, expect: 'deliver', mayRelay: true },
    { domain: 'listed60.example', behaviour: (pool, seed) => refuseShare(shareOf(pool.all, 0.6, seed + 4), 'rcpt', REPLIES.spamhaus), weight: 3, expect: 'deliver', mayRelay: true },
    { domain: 'refused.example', behaviour: () => refuseAll('rcpt', REPLIES.spamhaus), weight: 3, expect: 'relay' },
    { domain: 'limited.example', behaviour: () => limitPerAddress({ visits: 1, windowMs: 5000 }), weight: 2, expect: 'deliver', mayRelay: true },
    { domain: 'grey.example', behaviour: () => greylist(GREYLIST_MS), ipv6: true, weight: 3, expect: 'deliver' },
    { domain: 'nouser.example', behaviour: () => unknownUser(), weight: 2, expect: 'bounce' },
    { domain: 'filter.example', behaviour: () => contentRefused(), weight: 1, expect: 'bounce' },
    { domain: 'spf.example', behaviour: () => spfFail(), weight: 1, expect: 'bounce' },
    { domain: 'silent.example', behaviour: () => timeout(SILENT_MS), weight: 1, expect: 'bounce' }
];

export interface Letter {
    message: Omit<SentMessage, 'at'>;
    body: string;
}

export function destinations(pool: Pool, seed: number): Destination[] {
    return SCENES.map(({ domain, behaviour, ipv6 }) => ({ domain, behaviour: behaviour(pool, seed), ...(ipv6 ? { ipv6 } : {}) }));
}

/** `count` messages, dealt to the destinations by their weights; a few of those to the open one carry GTUBE or EICAR. */
export function letters(count: number, seed: number): Letter[] {
    const random = seeded(seed);
    const spam = Math.ceil(count * SPAM_SHARE);
    const virus = Math.ceil(count * VIRUS_SHARE);
    const total = SCENES.reduce((sum, scene) => sum + scene.weight, 0);
    const dealt = SCENES.flatMap(scene => Array.from({ length: Math.max(1, Math.floor(((count - spam - virus) * scene.weight) / total)) }, () => scene)).slice(0, count - spam - virus);
    const open = SCENES[0] as Scene;
    const clean = [...dealt, ...Array.from({ length: count - spam - virus - dealt.length }, () => open)];
    const all = [
        ...clean.map(scene => ({ scene, kind: 'clean' as const })),
        ...Array.from({ length: spam }, () => ({ scene: open, kind: 'gtube' as const })),
        ...Array.from({ length: virus }, () => ({ scene: open, kind: 'eicar' as const }))
    ];
    return shuffled(all, random).map(({ scene, kind }, index) => {
        const fate = scene.expect === 'relay' ? random() : 1;
        const mark = fate < RELAY_REFUSES ? 'gone-' : fate < RELAY_REFUSES + RELAY_PUTS_OFF ? 'full-' : '';
        const number = String(index + 1).padStart(5, '0');
        return {
            body: BODIES[kind],
            message: {
                testId: `demo-${number}`,
                from: `user${1 + Math.floor(random() * SENDERS)}@${SENDER_DOMAIN}`,
                to: `${mark}m${number}@${scene.domain}`,
                destination: scene.domain,
                kind,
                expect: kind !== 'clean' ? 'refuse' : mark ? 'bounce' : scene.expect,
                mayRelay: kind === 'clean' && (scene.expect === 'relay' || scene.mayRelay === true)
            }
        };
    });
}

/** The relay's own verdict, by the mark in the address. */
export function relayRefuses(to: string): Reply | undefined {
    if (to.startsWith('gone-')) {
        return { code: 550, lines: ['5.1.1 The email account that you tried to reach does not exist'] };
    }
    return to.startsWith('full-') ? { code: 452, lines: ['4.2.2 The email account that you tried to reach is over quota'] } : undefined;
}

/** Text by kind of message. */
export const BODIES: Record<SentMessage['kind'], string> = {
    clean: 'Dear colleague,\r\n\r\nplease find the minutes of our meeting below.\r\n\r\nKind regards\r\n',
    // the test patterns of rspamd and of the antivirus makers; put together here so that no scanner minds this file
    gtube: ['XJS*C4JDBQADN1.NSBN3*2IDNEN', 'GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL', 'C.34X'].join('*') + '\r\n',
    eicar: ['X5O!P%@AP[4\\PZX54(P^)7CC)7}$', 'EICAR-STANDARD-ANTIVIRUS-TEST-FILE', '!$H+H*'].join('') + '\r\n'
};
