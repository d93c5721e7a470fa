/** What the operator's API shows of this process. It works with a closed gate too: that is when it is needed most. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { registerRoutes, type Operations } from '../ops/routes';
import { packageRoot } from '../settings/package-root';
import type { PluginApp } from '../zonemta/app';
import type { Gate } from './gate';
import type { Services } from './services';

export function serveOperations(app: PluginApp, gate: Gate<Services>): void {
    const { version } = JSON.parse(readFileSync(join(packageRoot(), 'package.json'), 'utf8')) as { version: string };
    const operations: Operations = {
        // a closed gate may mean wrong settings: the token counts all the same
        token: () => gate.services?.settings.shared.apiToken ?? rawToken(app),
        status: async () => ({ version, gate: gate.state, faults: gate.faults, ...(gate.services ? await summary(gate.services) : {}) }),
        open: () => gate.services && { ...gate.services, thrown: fields => gate.services?.log.event('SWITCH', fields) }
    };
    registerRoutes(app, operations);
}

async function summary({ settings, switches, history, bulletins }: Services) {
    return {
        shadow: settings.shared.shadow,
        zones: settings.shared.zones,
        relayZones: settings.relay?.zones ?? [],
        plugins: { rspamd: !!settings.rspamd, randomIp: !!settings.randomIp, reputation: !!settings.reputation, relay: !!settings.relay },
        off: switches.list(),
        historyLost: history.lost,
        processes: (await bulletins.read()).map(({ process, at, content }) => ({ process, at, ...content }))
    };
}

function rawToken(app: PluginApp): string {
    const token = (app.config as { apiToken?: unknown }).apiToken;
    return typeof token === 'string' ? token : '';
}
