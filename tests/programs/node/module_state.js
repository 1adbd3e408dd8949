const module_ = require('module');
console.log(module_.isBuiltin('fs'), module_.builtinModules.length > 50, typeof module_._findPath, module_._findPath.name, module_._findPath.length);
console.log(Object.keys(require.extensions), module_._cache === require.cache, module_._load.name);
console.log(process.getActiveResourcesInfo(), process.features.inspector !== undefined);
console.log(require('async_hooks').executionAsyncId() >= 0, process.exitCode, process.allowedNodeEnvironmentFlags.has('--require'));
