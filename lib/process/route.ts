/** From where a delivery goes: looked up and drawn before ZoneMTA connects. */
import type { SenderConnection, SenderDelivery } from '@zone-eu/types';
import { countsConnections } from '../health/pace';
import { scopesOf } from '../health/suspension';
import { choose, chooseOther } from '../pool/choose';
import type { PoolAddress } from '../pool/pool';
import { ConnectFailure } from '../zonemta/app';
import { endAfter, knowConnection, nameOf, setRoute, sourceOf, stateOf, zoneOf, type Source } from '../zonemta/delivery';
import { portOf, zoneConfig } from '../zonemta/host';
import { admit, type Admission, type HealthyChoice } from './admission';
import type { Services } from './services';

/**
 * Draws the address of this attempt, unless the zone takes no part.
 *
 * @throws ConnectFailure when this delivery may not try: all addresses are suspended at the provider, or it is over the pace. ZoneMTA
 * then asks what is to become of it as after a failed attempt (lib/sender.js), and handleRefusal and leavePace know from the flight
 */
export async function routeDelivery(services: Services, delivery: SenderDelivery): Promise<void> {
    const { settings, host, now, random } = services;
    const zone = zoneOf(delivery);
    if (!settings.shared.zones.includes(zone) || !settings.randomIp) {
        return;
    }
    const state = stateOf(delivery);
    const found = await services.destinations.lookup(delivery.domain ?? '');
    const destination = zoneConfig(host, zone)?.ignoreIPv6 ? { ...found, reachable: { ipv4: true, ipv6: false } } : found;
    const { provider } = destination;
    const choice: HealthyChoice = {
        pool: services.pool(zone),
        reachable: destination.reachable,
        share: settings.randomIp.families[provider] ?? settings.randomIp.families.default,
        tried: state.attempts.flatMap(({ address }) => (address === '' || address === state.pin?.address ? [] : [address])),
        pin: state.pin,
        health: services.health.view(provider),
        random
    };
    const startedAt = now();
    const admission: Admission = settings.shared.shadow ? { kind: 'go', address: choose(choice) } : await admit(services, { delivery, provider, choice });
    switch (admission.kind) {
        case 'held':
            services.flights.set(delivery, { startedAt, destination, address: '', ...(admission.by ? { held: admission.by } : {}) });
            throw new ConnectFailure(new Error(`all addresses of ours are suspended at ${provider}`));
        case 'wait':
            services.flights.set(delivery, { startedAt, destination, address: '', turn: admission.turn });
            throw new ConnectFailure(new Error(`waits for its turn at ${provider}`));
        case 'go':
    }
    const first = admission.address;
    const isCounted = !settings.shared.shadow && countsConnections(services.paceOf(provider));
    services.flights.set(delivery, { startedAt, destination, address: first?.address ?? '', ...(isCounted ? { countedAs: first?.address ?? '' } : {}) });
    if (settings.reputation && state.attempts.length === 0 && !settings.shared.shadow) {
        await services.budget.countFirst(provider);
    }
    if (!first) {
        services.log.warn('POOL_EMPTY', { zone, provider }, zone);
    }
    if (!first || settings.shared.shadow) {
        return;
    }
    services.health.begin(nameOf(delivery), provider, scopesOf(first));
    setRoute(delivery, {
        first: named(first, delivery),
        other: namedOrNone(chooseOther(choice, first), delivery),
        hosts: destination.hosts,
        mx: state.pin?.mx,
        port: portOf(host, zone)
    });
}

/** Notes which connection the attempt really has, and if it may be kept; ZoneMTA may reuse one, or have fallen back to the other family. */
export function knowRoute({ settings, host, flights, paceOf, reachability, now }: Services, delivery: SenderDelivery, connection: SenderConnection): void {
    const zone = zoneOf(delivery);
    if (settings.shared.zones.includes(zone) && !settings.shared.shadow) {
        knowConnection(delivery, connection, portOf(host, zone));
        const provider = flights.get(delivery)?.destination.provider;
        if (provider !== undefined) {
            reachability.reached(provider, sourceOf(connection), now());
            endAfter(delivery, connection, paceOf(provider).perConnection ?? Infinity);
        }
    }
}

/** An address without a name of its own keeps the EHLO name that ZoneMTA found for its zone. */
export function named(entry: PoolAddress, delivery: SenderDelivery): Source {
    const given = (entry.family === 'ipv6' ? delivery.zoneAddressIPv6 : delivery.zoneAddressIPv4) ?? delivery.zoneAddress;
    const fallback = typeof given === 'object' ? (given.name ?? '') : '';
    return { address: entry.address, name: entry.name || fallback, family: entry.family };
}

function namedOrNone(entry: PoolAddress | undefined, delivery: SenderDelivery) {
    return entry && named(entry, delivery);
}
