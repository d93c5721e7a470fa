/** The fakes that stand where the other side is the internet: name server, MX hosts, external relay, the senders' mailbox. */
export * from './account';
export * from './addresses';
export * from './behaviours';
export { makeAuthority, type Authority, type KeyPair } from './certificates';
export { DnsServer, reverseZones, type DnsOptions, type Records, type Zones } from './dns';
export { Journal } from './journal';
export { Ledger, type LedgerEntry, type LedgerFilter, type Stage } from './ledger';
export { MxFarm, planMxHosts, type Destination, type FarmOptions, type MxHost } from './mx-farm';
export { hashed, seeded, shuffled, type Random } from './random';
export { RelayServer, type RelayOptions } from './relay-server';
export type { RecipientReport } from './reports';
export { Sink, type SinkMail, type SinkOptions } from './sink';
export type { Reply } from './smtp';
export { tellStories, type ReportMail, type Story } from './stories';
