(table . "[" . (_) @name) @section
(table_array_element . "[[" . (_) @name) @section
(document (pair . (_) @name) @variable)
(comment) @comment
