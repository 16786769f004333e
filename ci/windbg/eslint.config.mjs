// Run by ./lint, from a copy beside the packages that it names.

import js from "@eslint/js";

// What ECMAScript 2015 does not have: the debugger's engine knows no more than that, and Node would not complain.
const LATER = [
    "entries", "flat", "flatMap", "fromEntries", "includes", "matchAll", "padEnd", "padStart", "replaceAll",
    "trimEnd", "trimStart", "values",
];

export default [
    js.configs.recommended,
    {
        rules: {
            "curly": "error",
            "eqeqeq": "error",
            "no-shadow": "error",
            "no-var": "error",
            "prefer-const": "error",
            "no-undef": "error",
        },
    },
    {
        files: ["cancelnic.js"],
        languageOptions: { ecmaVersion: 2015, sourceType: "script", globals: { host: "readonly" } },
        rules: {
            "strict": ["error", "global"],
            // The debugger calls it by its name.
            "no-unused-vars": ["error", { varsIgnorePattern: "^initializeScript$", caughtErrors: "none" }],
            // `preserve-caught-error` wants `new Error(message, { cause })`, which is of 2022.
            "preserve-caught-error": "off",
            "no-restricted-properties": [
                "error", ...LATER.map((property) => ({ property, message: "ECMAScript 2015 has it not" })),
            ],
            "no-restricted-globals": ["error", "BigInt", "BigUint64Array", "globalThis", "WeakRef"],
        },
    },
    {
        files: ["test/*.js"],
        languageOptions: { ecmaVersion: 2024, sourceType: "module", globals: { process: "readonly", URL: "readonly" } },
    },
];
