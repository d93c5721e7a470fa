/**
 * What the plugins' hooks call. Plugins must load even when a dependency of this is missing (see join), so it is loaded
 * with the first use.
 */
export { connectFromPool } from './connecting';
export { leavePace } from './pacing';
export { handleDelivered, handleRefusal } from './refusal';
export { connectRelay, explainBounce, prepareRelayed, silenceDelayNotice } from './relaying';
export { knowRoute, routeDelivery } from './route';
export { identifySender, scanMessage } from './scanning';
export { startServices } from './services';
