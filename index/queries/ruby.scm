(method name: (_) @name) @method
(singleton_method name: (_) @name) @method
(class name: [(constant) @name (scope_resolution name: (_) @name)]) @class
(module name: [(constant) @name (scope_resolution name: (_) @name)]) @module
(assignment left: (constant) @name) @variable
(alias name: (_) @name) @method

(call method: (identifier) @reference)
(superclass (constant) @reference)
(scope_resolution name: (constant) @reference)
(call receiver: (constant) @reference)
(call method: (identifier) @_require arguments: (argument_list . (string (string_content) @import))
  (#any-of? @_require "require" "require_relative" "load"))
(comment) @comment
