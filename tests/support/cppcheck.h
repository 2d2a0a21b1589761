/* What cppcheck does not find in the headers that it does not read. */
#define json_array_foreach(array, i, item)                                                                   \
    for (i = 0; i < json_array_size(array) && (item = json_array_get(array, i)); i++)
#define json_object_foreach(object, key, item)                                                               \
    for (key = json_object_key(object); key && (item = json_object_get(object, key)); key = next_key(key))
