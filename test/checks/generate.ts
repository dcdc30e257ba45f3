// `npm run generate`: writes proto/gen anew from the contract.
import { regenerate } from './protobuf.ts';

regenerate();
