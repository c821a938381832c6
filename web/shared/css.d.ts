/* Style sheets are imported for esbuild to collect; they export nothing. */
declare module "*.css";
