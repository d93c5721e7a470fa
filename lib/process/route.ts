/** From where a delivery goes: looked up and drawn before ZoneMTA connects. */
import type { SenderConnection, SenderDelivery } from '@zone-eu/types';
import { choose, chooseOther } from '../pool/choose';
import type { PoolAddress } from '../pool/pool';
import { knowConnection, setRoute, stateOf, zoneOf } from '../zonemta/delivery';
import { portOf, zoneConfig } from '../zonemta/host';
import type { Services } from './services';

/** Draws the address of this attempt, unless the zone takes no part. */
export async function routeDelivery(services: Services, delivery: SenderDelivery): Promise<void> {
    const { settings, host, now, random } = services;
    const zone = zoneOf(delivery);
    if (!settings.shared.zones.includes(zone) || !settings.randomIp) {
        return;
    }
    const state = stateOf(delivery);
    const destination = await services.destinations.lookup(delivery.domain ?? '');
    const choice = {
        pool: services.pool(zone),
        reachable: zoneConfig(host, zone)?.ignoreIPv6 ? { ipv4: true, ipv6: false } : destination.reachable,
        share: settings.randomIp.families[destination.provider] ?? settings.randomIp.families.default,
        tried: state.attempts.filter(attempt => attempt.address !== state.pin?.address).map(attempt => attempt.address),
        pin: state.pin,
        random
    };
    const first = choose(choice);
    services.flights.set(delivery, { startedAt: now(), destination, address: first?.address ?? '' });
    if (settings.reputation && state.attempts.length === 0 && !settings.shared.shadow) {
        await services.budget.countFirst(destination.provider);
    }
    if (!first) {
        services.log.warn('POOL_EMPTY', { zone, provider: destination.provider }, zone);
    }
    if (!first || settings.shared.shadow) {
        return;
    }
    setRoute(delivery, {
        first: named(first, delivery),
        other: namedOrNone(chooseOther(choice, first), delivery),
        hosts: destination.hosts,
        mx: state.pin?.mx,
        port: portOf(host, zone)
    });
}

/** Notes which connection the attempt really has; ZoneMTA may reuse one, or have fallen back to the other family. */
export function knowRoute({ settings, host }: Services, delivery: SenderDelivery, connection: SenderConnection): void {
    const zone = zoneOf(delivery);
    if (settings.shared.zones.includes(zone) && !settings.shared.shadow) {
        knowConnection(delivery, connection, portOf(host, zone));
    }
}

/** An address without a name of its own keeps the EHLO name that ZoneMTA found for its zone. */
function named(entry: PoolAddress, delivery: SenderDelivery): { address: string; name: string; family: PoolAddress['family'] } {
    const given = (entry.family === 'ipv6' ? delivery.zoneAddressIPv6 : delivery.zoneAddressIPv4) ?? delivery.zoneAddress;
    const fallback = typeof given === 'object' ? (given.name ?? '') : '';
    return { address: entry.address, name: entry.name || fallback, family: entry.family };
}

function namedOrNone(entry: PoolAddress | undefined, delivery: SenderDelivery) {
    return entry && named(entry, delivery);
}
