/** What becomes of a message on its way in: its sender, and rspamd's verdict. */
import type { MessageHookEnvelope, MessageHeadersEnvelope, MessageInfo } from '@zone-eu/types';
import { scan, type ScanFacts, type ScanResult } from '../scan/scanner';
import { isIntended, type PluginApp } from '../zonemta/app';
import { BOUNCE_INTERFACE, changeHeaders, headerValues, setMessageFacts, type Collector } from '../zonemta/message';
import { senderOf } from './sender';
import type { Services } from './services';

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
    try {
        await decideMessage(services, app, collector, envelope, info);
    } catch (err) {
        if (isIntended(err)) {
            throw err;
        }
        // with this hook out of the way ZoneMTA would accept the message unscanned
        app.logger.error('SmartRelay', 'message:queue: a fault in our hook, the message is put off: id=%s %s', envelope.id, (err as Error).stack);
        throw app.reject(envelope, 'fault', info, '451 4.3.0 The message cannot be scanned now, try again later');
    }
}

async function decideMessage(services: Services, app: PluginApp, collector: Collector, envelope: MessageHookEnvelope, info: MessageInfo): Promise<void> {
    const settings = services.settings.rspamd;
    if (!settings || envelope.interface === BOUNCE_INTERFACE) {
        return;
    }
    const { shadow } = services.settings.shared;
    const refuse = (reason: string, reply: string) => {
        if (!shadow) {
            throw app.reject(envelope, reason, info, reply);
        }
    };
    const body = collector.take(envelope);
    if (body === 'oversize') {
        services.log.event('SCAN_REJECTED', { id: envelope.id, reason: 'larger than maxSize' });
        return refuse('oversize', '552 5.3.4 Message is too large to be scanned');
    }
    const result = body && (await scan(settings, factsOf(envelope), body, services.now, services.random).catch((err: Error) => err));
    if (!result || result instanceof Error) {
        const error = result?.message ?? 'the message was not seen whole';
        const accept = settings.onUnavailable === 'accept';
        services.log.event(accept ? 'SCAN_ACCEPTED' : 'SCAN_DEFERRED', { id: envelope.id, reason: 'unscanned', error });
        await note(services, envelope, { result: accept ? 'unscanned' : 'tempfail', action: '', score: 0, server: '', ms: 0 });
        if (!accept) {
            return refuse('unscanned', '451 4.7.1 The message cannot be scanned now, try again later');
        }
        if (!shadow) {
            changeHeaders(envelope.headers, { add: [{ name: 'X-Smart-Relay-Scan', value: 'unavailable' }], remove: [] });
        }
        return;
    }
    await carryOut(services, envelope, result, refuse);
}


async function carryOut(services: Services, envelope: MessageHookEnvelope, result: ScanResult, refuse: (reason: string, reply: string) => void): Promise<void> {
    const { verdict, server, ms } = result;
    const { action } = verdict;
    await note(services, envelope, { result: action, action: verdict.rspamdAction, score: verdict.score, server, ms });
    const fields = { id: envelope.id, action: verdict.rspamdAction, score: verdict.score, virus: verdict.virus, server, ms };
    if (action === 'reject' || action === 'tempfail') {
        services.log.event(action === 'reject' ? 'SCAN_REJECTED' : 'SCAN_DEFERRED', fields);
        return refuse(verdict.virus === undefined ? 'spam' : 'virus', verdict.reply);
    }
    services.log.event('SCAN_ACCEPTED', fields);
    if (services.settings.shared.shadow) {
        return;
    }
    changeHeaders(envelope.headers, verdict.headers);
    if (action === 'tag') {
        changeHeaders(envelope.headers, { add: [{ name: 'X-Spam', value: 'Yes' }], remove: [] });
    } else if (action !== 'accept') {
        envelope.sendingZone = action.slice('zone:'.length);
    }
}

function note(services: Services, envelope: MessageHookEnvelope, scanned: { result: string; action: string; score: number; server: string; ms: number }): Promise<void> {
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
        hostname: envelope.originhost || undefined
    };
}
