/** What becomes of a message on its way in: its sender, and rspamd's verdict. */
import { hostname } from 'node:os';
import type { MessageHookEnvelope, MessageHeadersEnvelope, MessageInfo } from '@zone-eu/types';
import type { ScanEvent } from '../history/history';
import { ScanUnavailable, type ScanFacts, type ScanResult } from '../scan/scanner';
import { actionsFor, decide } from '../scan/verdict';
import type { RspamdSettings } from '../settings/rspamd';
import { isIntended, type PluginApp } from '../zonemta/app';
import type { Collector } from '../zonemta/body';
import { BOUNCE_INTERFACE, changeHeaders, headerValues, messageFacts, setMessageFacts } from '../zonemta/message';
import { senderOf } from './sender';
import type { Scanning, Services } from './services';

/** A message on its way in, and what it is decided with. */
interface Incoming {
    services: Services;
    scanning: Scanning;
    envelope: MessageHookEnvelope;
    /** Throws the refusal, but in shadow mode. */
    refuse: (reason: string, reply: string) => void;
}

type ScanNote = Omit<ScanEvent, 'kind'>;

const NOT_SCANNED: Omit<ScanNote, 'result'> = { action: '', score: 0, server: '', ms: 0, tried: [], symbols: [] };

/** Tells those behind us why a message was not scanned. */
const HEADER = 'X-Smart-Relay-Scan';

/** Puts the sender on the message. The header that names it is for us alone, and never believed from others: it is removed. */
export function identifySender({ settings: { shared } }: Services, envelope: MessageHeadersEnvelope): void {
    const header = shared.senderHeader ? headerValues(envelope.headers, shared.senderHeader) : [];
    if (shared.senderHeader && !shared.shadow) {
        envelope.headers.remove(shared.senderHeader);
    }
    setMessageFacts(envelope, senderOf(shared, { user: envelope.user || '', origin: envelope.origin || '', header, from: envelope.from ?? '' }));
}

/**
 * Scans a message that is about to be queued. Throws what `app.reject` makes for a refusal; returns when the message may be queued.
 * Notices that ZoneMTA makes itself are not scanned: nobody could be told of their refusal.
 */
export async function scanMessage(services: Services, app: PluginApp, collector: Collector, envelope: MessageHookEnvelope, info: MessageInfo): Promise<void> {
    const { scanning, settings } = services;
    if (!scanning || envelope.interface === BOUNCE_INTERFACE) {
        return;
    }
    const refuse = (reason: string, reply: string) => {
        if (!settings.shared.shadow) {
            throw app.reject(envelope, reason, info, reply);
        }
    };
    try {
        await decideMessage({ services, scanning, envelope, refuse }, collector);
    } catch (err) {
        if (isIntended(err)) {
            throw err;
        }
        // with this hook out of the way ZoneMTA would accept the message unscanned
        app.logger.error('SmartRelay', 'message:queue: a fault in our hook, the message is put off: id=%s %s', envelope.id, (err as Error).stack);
        throw app.reject(envelope, 'fault', info, '451 4.3.0 The message cannot be scanned now, try again later');
    }
}

async function decideMessage(incoming: Incoming, collector: Collector): Promise<void> {
    const { services, scanning, envelope } = incoming;
    const body = await collector.take(envelope);
    try {
        const skipped = skipReason(scanning.settings, envelope);
        if (skipped !== undefined) {
            scanning.counts.skipped++;
            services.log.event('SCAN_ACCEPTED', { id: envelope.id, reason: skipped });
            return await note(incoming, { ...NOT_SCANNED, result: 'skipped' });
        }
        if (body === 'oversize') {
            return await settleOversize(incoming);
        }
        if (!body) {
            return await settleUnscanned(incoming, new ScanUnavailable('the message was not seen whole', []));
        }
        const result = await scanning.scanner.scan(factsOf(envelope), body).catch((err: Error) => {
            if (err instanceof ScanUnavailable) {
                return err;
            }
            throw err;
        });
        return await (result instanceof ScanUnavailable ? settleUnscanned(incoming, result) : carryOut(incoming, result));
    } finally {
        if (body && body !== 'oversize') {
            await body.dispose();
        }
    }
}

function skipReason({ skip }: RspamdSettings, envelope: MessageHookEnvelope): string | undefined {
    if (skip.interfaces.includes(envelope.interface ?? '')) {
        return 'skipped: interface';
    }
    if (skip.authenticated && envelope.user) {
        return 'skipped: authenticated user';
    }
    return skip.nullSender && !envelope.from ? 'skipped: null sender' : undefined;
}

async function settleOversize(incoming: Incoming): Promise<void> {
    const { services, scanning, envelope, refuse } = incoming;
    const { onOversize } = scanning.settings;
    scanning.counts.oversize++;
    const code = { reject: 'SCAN_REJECTED', tempfail: 'SCAN_DEFERRED', accept: 'SCAN_ACCEPTED' } as const;
    services.log.event(code[onOversize], { id: envelope.id, reason: 'larger than maxSize' });
    await note(incoming, { ...NOT_SCANNED, result: `oversize: ${onOversize}` });
    if (onOversize === 'accept') {
        return mark(incoming, 'oversize');
    }
    refuse('oversize', onOversize === 'reject' ? '552 5.3.4 Message is too large to be scanned' : '451 4.3.4 Message is too large to be scanned, try again later');
}

async function settleUnscanned(incoming: Incoming, { message, tried }: ScanUnavailable): Promise<void> {
    const { services, scanning, envelope, refuse } = incoming;
    const accept = scanning.settings.onUnavailable === 'accept';
    scanning.counts.unscanned++;
    services.log.event(accept ? 'SCAN_ACCEPTED' : 'SCAN_DEFERRED', { id: envelope.id, reason: 'unscanned', error: message });
    await note(incoming, { ...NOT_SCANNED, result: accept ? 'unscanned' : 'tempfail', tried });
    if (accept) {
        return mark(incoming, 'unavailable');
    }
    refuse('unscanned', '451 4.7.1 The message cannot be scanned now, try again later');
}

async function carryOut(incoming: Incoming, { answer, server, ms, tried }: ScanResult): Promise<void> {
    const { services, scanning, envelope, refuse } = incoming;
    const actions = actionsFor(scanning.settings, { interface: envelope.interface ?? '', sender: messageFacts(envelope).sender });
    const { action, reply } = decide(answer, actions);
    count(scanning, answer.action, action, tried);
    await note(incoming, { result: action, action: answer.action, score: answer.score, server, ms, tried, symbols: answer.symbols });
    const fields = { id: envelope.id, action: answer.action, score: answer.score, virus: answer.virus, server, ms, tried: tried.length };
    if (action === 'reject' || action === 'tempfail') {
        services.log.event(action === 'reject' ? 'SCAN_REJECTED' : 'SCAN_DEFERRED', fields);
        return refuse(answer.virus === undefined ? 'spam' : 'virus', reply);
    }
    services.log.event('SCAN_ACCEPTED', fields);
    if (services.settings.shared.shadow) {
        return;
    }
    changeHeaders(envelope.headers, answer.headers);
    if (action === 'tag') {
        changeHeaders(envelope.headers, { add: [{ name: 'X-Spam', value: 'Yes', order: 0 }], remove: [] });
    } else if (action !== 'accept') {
        envelope.sendingZone = action.slice('zone:'.length);
    }
}

function count({ counts }: Scanning, said: string, action: string, tried: readonly string[]): void {
    counts.scanned++;
    counts.moved += tried.length > 1 ? 1 : 0;
    if (action === 'reject') {
        counts.rejected++;
    } else if (action === 'tempfail') {
        counts.putOff++;
    } else if (said === 'add header' || said === 'rewrite subject') {
        counts.acceptedSpam++;
    }
}

function mark({ services, envelope }: Incoming, value: string): void {
    if (!services.settings.shared.shadow) {
        changeHeaders(envelope.headers, { add: [{ name: HEADER, value, order: 0 }], remove: [] });
    }
}

function note({ services, envelope }: Incoming, scanned: ScanNote): Promise<void> {
    const recipient = [envelope.to ?? []].flat().join(', ');
    return services.history.write({ id: envelope.id ?? '', seq: '', recipient, sender: envelope.from ?? '', event: { kind: 'scan', ...scanned } });
}

function factsOf(envelope: MessageHookEnvelope): ScanFacts {
    return {
        id: envelope.id ?? '',
        from: envelope.from ?? '',
        to: [envelope.to ?? []].flat(),
        user: envelope.user || undefined,
        ip: envelope.origin || undefined,
        helo: envelope.transhost || undefined,
        hostname: envelope.originhost || undefined,
        mta: hostname(),
        tls: tlsOf(envelope.tls)
    };
}

/** What `tls.TLSSocket.getCipher()` said in the receiver (lib/smtp-interface.js); without TLS there is nothing. */
function tlsOf(given: unknown): ScanFacts['tls'] {
    const { name, version } = (given ?? {}) as { name?: unknown; version?: unknown };
    return typeof name === 'string' && typeof version === 'string' ? { cipher: name, version } : undefined;
}
