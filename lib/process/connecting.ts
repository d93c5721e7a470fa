/**
 * The TCP connection of a delivery from the pool. It is opened here, and the greeting is listened to, so that an address which is
 * refused in the greeting costs no more than another connection: one other address is tried at once, before ZoneMTA sees a failure.
 * The same for an address that cannot connect while others of ours do.
 */
import { isIPv6 } from 'node:net';
import type { SenderConnectOptions, SenderDelivery } from '@zone-eu/types';
import { leave, openGreeted, type Greeted, type Patience, type Peer, type Unheard } from '../connect/greeting';
import { withAttempt } from '../delivery/state';
import type { DeliveryState } from '../delivery/types';
import { scopesOf } from '../health/suspension';
import { blamedBy, type Verdict } from '../policy/decide';
import { choose } from '../pool/choose';
import type { PoolAddress } from '../pool/pool';
import { failConnect, useSocket } from '../zonemta/connect';
import { keepState, nameOf, setSource, stateOf, zoneOf } from '../zonemta/delivery';
import { portOf, zoneConfig } from '../zonemta/host';
import { describe, failedAlone, judge, record, suspend, type Refused } from './refusal';
import { isWarmingUp } from './admission';
import { named } from './route';
import type { Flight, Services } from './services';

/** As long as ZoneMTA would wait for a connection. For a greeting it waits on by itself, on the socket that it is given. */
const PATIENCE: Patience = { connect: 5 * 60_000, greeting: 30_000 };
/** Where others of ours get through, silence is no matter of patience. */
const PATIENCE_ALONE: Patience = { connect: 15_000, greeting: 30_000 };

/** The attempt goes on from another address. */
interface Move {
    refused: Refused;
    /** Why, for the history. */
    verdict: Verdict;
    state: DeliveryState;
    to: PoolAddress;
}

/** Opens the connection to one MX address, unless it is ZoneMTA's to open: see `peerOf`. */
export async function connectFromPool(services: Services, delivery: SenderDelivery, options: SenderConnectOptions): Promise<void> {
    const drawn = peerOf(services, delivery, options);
    const flight = services.flights.get(delivery);
    if (!drawn || !flight) {
        return;
    }
    // ZoneMTA comes with the drawn address for each further MX host
    const moved = flight.moved && isIPv6(flight.moved.address) === isIPv6(drawn.host) ? flight.moved : undefined;
    const peer = moved ? { ...drawn, localAddress: moved.address } : drawn;
    const { provider } = flight.destination;
    const first = await openGreeted(peer, services.reachability.othersReach(provider, peer.localAddress, services.now()) ? PATIENCE_ALONE : PATIENCE);
    const move = flight.moved ? undefined : await elsewhere(services, delivery, flight, peer, first);
    if (!move) {
        return handOver(options, first, moved?.name ?? options.localHostname ?? '');
    }
    if (first.socket) {
        leave(first.socket);
    }
    const { to, refused, state, verdict } = move;
    const source = named(to, delivery);
    services.flights.set(delivery, { ...flight, startedAt: services.now(), address: source.address, moved: source });
    services.health.begin(nameOf(delivery), provider, scopesOf(to));
    setSource(delivery, source, peer.port);
    keepState(delivery, state);
    const [second] = await Promise.all([openGreeted({ ...peer, localAddress: source.address }, PATIENCE_ALONE), record(services, delivery, refused, verdict)]);
    if (refused.othersReach && 'text' in second) {
        // now it is known whose fault it was
        await suspend(services, delivery, refused);
    }
    handOver(options, second, source.name);
}

/**
 * Where to, and from which address; undefined where ZoneMTA shall connect by itself: outside of the pool's zones, in shadow, to a zone's
 * own host, and where TLS comes before the greeting.
 */
function peerOf({ settings, host }: Services, delivery: SenderDelivery, options: SenderConnectOptions): Peer | undefined {
    const zone = zoneOf(delivery);
    const { host: fixed, secure } = zoneConfig(host, zone) ?? {};
    const { localAddress } = options;
    const isOurs = settings.reputation?.connectFailover && settings.shared.zones.includes(zone) && !settings.shared.shadow && stateOf(delivery).phase === 'pool';
    if (!isOurs || fixed || secure || delivery.mxSecure || !options.host || !localAddress) {
        return undefined;
    }
    return { host: options.host, port: options.port ?? portOf(host, zone), localAddress };
}

function handOver(options: SenderConnectOptions, opened: Greeted | Unheard, helo: string): void {
    if (opened.socket) {
        useSocket(options, opened.socket, helo);
    } else if ('error' in opened) {
        failConnect(options, opened.error, opened.connected);
    }
}

/** Another address of ours, when this one is refused for its reputation or cannot connect, and policy, brakes and pool allow it. */
async function elsewhere(services: Services, delivery: SenderDelivery, flight: Flight, peer: Peer, opened: Greeted | Unheard): Promise<Move | undefined> {
    const before = stateOf(delivery);
    const refused = refusedFor(services, flight, before, peer, opened);
    // a greylisted delivery keeps its address
    if (!refused || before.pin?.address === peer.localAddress) {
        return undefined;
    }
    if (!refused.othersReach) {
        await suspend(services, delivery, refused);
    }
    const other = otherThan(services, delivery, flight, peer);
    if (!other) {
        return undefined;
    }
    const { verdict, state } = await judge(services, delivery, flight, refused);
    if (verdict.action !== 'reroute') {
        return undefined;
    }
    const where = refused.stage === 'greeting' ? 'in the greeting' : 'no connection';
    return {
        refused,
        verdict: { ...verdict, delay: 0, reason: `${verdict.reason}, ${where}` },
        state: withAttempt(state, refused.attempt),
        to: other
    };
}

/** The refusal of this address, if it is one. What is said of us as a whole no other address would mend. */
function refusedFor(services: Services, flight: Flight, before: DeliveryState, peer: Peer, opened: Greeted | Unheard): Refused | undefined {
    const heard = 'text' in opened;
    if (heard && opened.code < 400) {
        return undefined;
    }
    const { provider, hosts } = flight.destination;
    const { code, text, stage } = heard ? { ...opened, stage: 'greeting' as const } : { code: 0, text: opened.error.message, stage: 'none' as const };
    const reply = services.classify({ code, text, stage }, provider);
    const mx = hosts.find(({ A, AAAA }) => [...A, ...AAAA].includes(peer.host))?.exchange ?? '';
    const attempt = describe(services, flight, { address: peer.localAddress, mx }, reply, code, text);
    const othersReach = !heard && failedAlone(services, attempt);
    const blamed = blamedBy(reply, othersReach);
    const isAlone = blamed !== undefined && ['address', 'subnet'].includes(blamed.scope) && ['ip-reputation', 'network'].includes(blamed.class);
    return isAlone ? { before, attempt, reply, stage, othersReach } : undefined;
}

/** A healthy address that can reach the same MX host, as far from the refused one as may be. None that is being warmed up, or has met its pace. */
function otherThan(services: Services, delivery: SenderDelivery, { destination }: Flight, peer: Peer): PoolAddress | undefined {
    const ipv6 = isIPv6(peer.host);
    const { provider } = destination;
    const health = services.health.view(provider);
    const tried = [...stateOf(delivery).attempts.map(({ address }) => address), peer.localAddress];
    const drawn = choose({ pool: services.pool(zoneOf(delivery)), reachable: { ipv4: !ipv6, ipv6 }, share: 0, tried, health, random: services.random });
    const isFree = drawn && !tried.includes(drawn.address) && health.standing(drawn) === 'open' && !services.pace.isFull(provider, drawn.address);
    return isFree && !isWarmingUp(services, drawn) ? drawn : undefined;
}
