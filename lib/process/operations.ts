/** What the operator's API shows of this process. It works with a closed gate too: that is when it is needed most. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { PoolOperations } from '../ops/pool';
import { registerRoutes, type Operations } from '../ops/routes';
import { scopeNamed } from '../pool/pool';
import { packageRoot } from '../settings/package-root';
import type { PluginApp } from '../zonemta/app';
import type { Gate } from './gate';
import { configuredPools } from './pools';
import type { Services } from './services';

export function serveOperations(app: PluginApp, gate: Gate<Services>): void {
    const { version } = JSON.parse(readFileSync(join(packageRoot(), 'package.json'), 'utf8')) as { version: string };
    const operations: Operations = {
        // a closed gate may mean wrong settings: the token counts all the same
        token: () => gate.services?.settings.shared.apiToken ?? rawToken(app),
        status: async () => ({ version, gate: gate.state, faults: gate.faults, ...(gate.services ? await summary(gate.services) : {}) }),
        open: () => gate.services && opened(gate.services)
    };
    registerRoutes(app, operations);
}

function opened(services: Services) {
    const { switches, history, log } = services;
    return { switches, history, thrown: (fields: Record<string, string>) => log.event('SWITCH', fields), pool: poolOperations(services) };
}

function poolOperations({ settings, host, health, checks, log, now }: Services): PoolOperations {
    const { shared } = settings;
    return {
        // the pool of a sender is not here, nor is what it could not bind
        zones: () => configuredPools(host, settings),
        failing: address => checks?.of(address) ?? [],
        list: () => health.list(),
        scopeOf: text => scopeNamed(text, shared),
        async put(suspension) {
            await health.put(suspension);
            const { provider, scope, class: reason, note, until } = suspension;
            log.event('SUSPENDED', { provider, scope, class: reason, seconds: Math.round((until - now()) / 1000), note });
        },
        async lift(provider, scope) {
            await health.lift(provider, scope);
            log.event('RESUMED', { provider, scope, reason: 'operator' });
        },
        check: () => void checks?.round(),
        now
    };
}

async function summary({ settings, switches, history, bulletins, checks }: Services) {
    return {
        shadow: settings.shared.shadow,
        zones: settings.shared.zones,
        relayZones: settings.relay?.zones ?? [],
        plugins: { rspamd: !!settings.rspamd, randomIp: !!settings.randomIp, reputation: !!settings.reputation, relay: !!settings.relay },
        off: switches.list(),
        checks: checks?.status(),
        historyLost: history.lost,
        processes: (await bulletins.read()).map(({ process, at, content }) => ({ process, at, ...content }))
    };
}

function rawToken(app: PluginApp): string {
    const token = (app.config as { apiToken?: unknown }).apiToken;
    return typeof token === 'string' ? token : '';
}
