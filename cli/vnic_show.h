/* vnic_show.h: a vNIC for the eye. */
#ifndef GODWIT_CLI_VNIC_SHOW_H
#define GODWIT_CLI_VNIC_SHOW_H

#include <jansson.h>

/** Standard output: the result of the method show, in lines of 80 columns. */
void vnic_show_text(const json_t *shown);

#endif
