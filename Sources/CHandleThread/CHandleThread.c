#include "CHandleThread.h"
