export { closed, timeout } from './absent';
export { accept } from './accept';
export { all, refusingAt, type Behaviour, type Refusal, type RefusalStage, type ReplyMaker } from './behaviour';
export { GREYLIST, greylist } from './greylist';
export { limitPerAddress, type LimitOptions } from './limit';
export { contentRefused, dropShare, refuseAll, refuseShare, shareOf, spfFail, unknownUser, type Clients } from './refuse';
export { REPLIES, reply } from './replies';
export { systemTrouble } from './trouble';
