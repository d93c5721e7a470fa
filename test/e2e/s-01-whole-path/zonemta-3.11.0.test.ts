import { tellWholePath } from './story';

tellWholePath('3.11.0');
