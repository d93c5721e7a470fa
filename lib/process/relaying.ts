/** The way through a relay zone: prepared, connected with verified TLS, and at the end the letter to the sender. */
import type { BounceDelivery, SenderConnectOptions, SenderDelivery } from '@zone-eu/types';
import { connectVerified } from '../connect/verified-tls';
import { noticeText } from '../notice/notice';
import { ConnectFailure } from '../zonemta/app';
import { isRelayed, stateOf, zoneOf } from '../zonemta/delivery';
import { portOf, zoneConfig } from '../zonemta/host';
import type { Services } from './services';

const CONNECT_TIMEOUT = 30_000;

/** Prepares a delivery that was handed over. What an operator sends through such a zone by himself is ZoneMTA's. */
export function prepareRelayed(services: Services, delivery: SenderDelivery): void {
    const { settings, host, flights, now } = services;
    const zone = zoneOf(delivery);
    if (!settings.relay?.zones.includes(zone) || settings.shared.shadow) {
        return;
    }
    // the relay's name is not in the recipient's MTA-STS policy: under "enforce" the mail would bounce here
    delivery.skipSTS = true;
    if (settings.relay.tls === 'verify') {
        // the socket that connectRelay hands over is encrypted already
        delivery.mxSecure = false;
    }
    if (stateOf(delivery).phase === 'relay') {
        const provider = zoneConfig(host, zone)?.host ?? zone;
        flights.set(delivery, { startedAt: now(), destination: { provider, hosts: [], reachable: { ipv4: true, ipv6: true } }, address: '' });
    }
}

/**
 * Opens the verified connection to a relay zone's host.
 *
 * @throws ConnectFailure whatever goes wrong: with this hook out of the way ZoneMTA would connect by itself, unverified
 */
export async function connectRelay(services: Services, delivery: SenderDelivery, options: SenderConnectOptions): Promise<void> {
    const { settings, host } = services;
    const zone = zoneOf(delivery);
    if (!settings.relay?.zones.includes(zone) || settings.relay.tls !== 'verify' || settings.shared.shadow) {
        return;
    }
    const target = zoneConfig(host, zone);
    try {
        options.socket = await connectVerified({
            host: options.host ?? '',
            port: options.port ?? portOf(host, zone),
            servername: target?.host ?? '',
            implicit: target?.secure === true,
            localAddress: options.localAddress,
            helo: options.localHostname || 'localhost',
            timeout: CONNECT_TIMEOUT
        });
    } catch (err) {
        throw new ConnectFailure(err as Error);
    }
}

/** Puts the whole trail into ZoneMTA's bounce, which is then the one letter that the sender gets. */
export async function explainBounce({ history, settings }: Services, bounce: BounceDelivery): Promise<void> {
    if (settings.shared.shadow) {
        return;
    }
    const records = await history.read(bounce.id, bounce.seq);
    const attempts = records.flatMap(({ event }) => (event.kind === 'attempt' ? [event] : []));
    const inPhase = (phase: 'pool' | 'relay') => attempts.filter(event => event.phase === phase).map(event => event.attempt);
    const since = records.find(({ event }) => event.kind === 'attempt' && event.phase === 'pool' && event.verdict === 'relay')?.at;
    if (attempts.length > 0) {
        bounce.response = noticeText(bounce.response ?? '', { own: inPhase('pool'), relay: inPhase('relay'), since });
    }
}

/** The relay has a day: a "still trying" letter of ZoneMTA's after three hours would be one too many. */
export function silenceDelayNotice(bounce: BounceDelivery): void {
    if (isRelayed(bounce)) {
        bounce.from = '';
    }
}
