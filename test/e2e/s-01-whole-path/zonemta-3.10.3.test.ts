import { tellWholePath } from './story';

tellWholePath('3.10.3');
